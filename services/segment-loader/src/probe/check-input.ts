import { HumancastError } from '@humancast/shared';
import type { AudioTrack, MediaInfo, VideoTrack } from './media-info.js';
import { oversized } from './probe.js';

export interface InputLimits {
  readonly maxSourcePixels: number;
  readonly maxDurationSeconds: number;
}

/**
 * Checks the header of a file, to reject before decoding what would be rejected afterwards or would cost too much to decode.
 * @returns The video track.
 * @throws HumancastError `media_no_video`, `media_unreadable`, `media_too_large`, `media_too_long`.
 */
export function requireVideo(info: MediaInfo, limits: InputLimits): VideoTrack {
  const { video } = info;
  if (!video) {
    throw new HumancastError(
      'media_no_video',
      'the file has no video track; send one, or an image as the `video` part',
    );
  }
  if (video.width === 0 || video.height === 0) {
    throw new HumancastError('media_unreadable', `the size of the video (${video.codec}) could not be determined`);
  }
  if (video.width * video.height > limits.maxSourcePixels) {
    throw oversized(video, limits.maxSourcePixels);
  }
  rejectLong(info, limits);
  return video;
}

/** Checks a file of which only the audio is used, as {@link requireVideo} does. */
export function requireAudio(info: MediaInfo, limits: InputLimits): AudioTrack {
  rejectUndecodable(info);
  if (!info.audio) throw new HumancastError('media_unreadable', 'the `audio` part has no audio track');
  rejectLong(info, limits);
  return info.audio;
}

/**
 * Rejects a file whose only audio has no known decoder: without it, the segment would be silent.
 * @throws HumancastError `media_undecodable`.
 */
export function rejectUndecodable({ undecodable: [stream] }: MediaInfo): void {
  if (!stream) return;
  throw new HumancastError('media_undecodable', {
    detail: `no decoder is known for its audio (stream ${stream.index}, ${stream.codec}); send for example AAC or Opus`,
    extra: { stream: stream.index, codec: stream.codec },
  });
}

function rejectLong(info: MediaInfo, { maxDurationSeconds }: InputLimits): void {
  const seconds = lengthOf(info);
  if (seconds === undefined || seconds <= maxDurationSeconds) return;
  throw new HumancastError('media_too_long', {
    detail: `the file is ${seconds.toFixed(1)} s long; at most ${maxDurationSeconds} s are allowed`,
    extra: { durationSeconds: seconds, maxDurationSeconds },
  });
}

/** @returns The length from the packets, or the stated one if they were not read. */
function lengthOf({ video, audio, durationSeconds }: MediaInfo): number | undefined {
  const lengths = [video, audio].flatMap((track) => {
    const end = track?.content?.endSeconds ?? track?.endSeconds;
    return track && end !== undefined ? end - Math.min(track.startSeconds, end) : [];
  });
  return lengths.length > 0 ? Math.max(...lengths) : durationSeconds;
}
