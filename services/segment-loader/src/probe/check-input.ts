import { HumancastError } from '@humancast/shared';
import type { AudioTrack, MediaInfo, VideoTrack } from './media-info.js';
import { oversized } from './probe.js';

export interface InputLimits {
  readonly maxSourcePixels: number;
  readonly maxDurationSeconds: number;
}

/**
 * Refuses by its header what would be refused after decoding, or would cost too much to decode.
 * @returns the picture track.
 * @throws HumancastError `media_no_video`, `media_unreadable`, `media_too_large`, `media_too_long`.
 */
export function requireVideo(info: MediaInfo, limits: InputLimits): VideoTrack {
  const { video } = info;
  if (!video) {
    throw new HumancastError(
      'media_no_video',
      'the file has no video track; send one, or a picture as the `video` part',
    );
  }
  if (video.width === 0 || video.height === 0) {
    throw new HumancastError('media_unreadable', `nothing of the picture (${video.codec}) could be recognized`);
  }
  if (video.width * video.height > limits.maxSourcePixels) {
    throw oversized(video, limits.maxSourcePixels);
  }
  refuseLong(info, limits);
  return video;
}

/** As {@link requireVideo}, for a file that only the sound is taken from. */
export function requireAudio(info: MediaInfo, limits: InputLimits): AudioTrack {
  refuseUndecodable(info);
  if (!info.audio) throw new HumancastError('media_unreadable', 'the `audio` part has no sound');
  refuseLong(info, limits);
  return info.audio;
}

/**
 * Refuses a file whose only sound no decoder is known for: without it, it would be silent.
 * @throws HumancastError `media_undecodable`.
 */
export function refuseUndecodable({ undecodable: [stream] }: MediaInfo): void {
  if (!stream) return;
  throw new HumancastError('media_undecodable', {
    detail: `no decoder is known for its sound (stream ${stream.index}, ${stream.codec}); send for example AAC or Opus`,
    extra: { stream: stream.index, codec: stream.codec },
  });
}

function refuseLong(info: MediaInfo, { maxDurationSeconds }: InputLimits): void {
  const seconds = lengthOf(info);
  if (seconds === undefined || seconds <= maxDurationSeconds) return;
  throw new HumancastError('media_too_long', {
    detail: `the file is ${seconds.toFixed(1)} s long; at most ${maxDurationSeconds} s are allowed`,
    extra: { durationSeconds: seconds, maxDurationSeconds },
  });
}

/** By what its packets hold; by what it says only where nobody has read them. */
function lengthOf({ video, audio, durationSeconds }: MediaInfo): number | undefined {
  const lengths = [video, audio].flatMap((track) => {
    const end = track?.content?.endSeconds ?? track?.endSeconds;
    return track && end !== undefined ? end - Math.min(track.startSeconds, end) : [];
  });
  return lengths.length > 0 ? Math.max(...lengths) : durationSeconds;
}
