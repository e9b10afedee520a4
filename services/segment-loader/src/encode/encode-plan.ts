import type { Rational, RenditionConfig } from '@humancast/protocol';
import type { AudioTrack, VideoTrack } from '../probe/media-info.js';
import { chooseFrameRate, framesPerSecond, gopFramesOf } from './frame-rate.js';
import { displaySize, renditionSize, type Size } from './video-size.js';

/** What every segment of an avatar is encoded to. */
export interface EncodeSettings {
  readonly renditions: readonly RenditionConfig[];
  readonly gopMs: number;
  /** The avatar's own rate, when it has one. */
  readonly fps: Rational | undefined;
  /** What the sound is brought to, LUFS (EBU R 128); `undefined`: it keeps its level. */
  readonly loudness?: number | undefined;
}

export interface PlannedRendition extends RenditionConfig, Size {}

/** What one file will become, decided before it is decoded. */
export interface EncodePlan {
  readonly video: VideoTrack;
  readonly audio: PlannedAudio | undefined;
  readonly fps: Rational;
  readonly gopFrames: number;
  readonly renditions: readonly PlannedRendition[];
  /** The instant of the file's clock that becomes the segment's start, s. */
  readonly zeroSeconds: number;
  /** What brings the sound to the loudness that was asked for, dB; `undefined`: it keeps its level. */
  readonly loudnessGainDb?: number | undefined;
}

export interface PlannedAudio {
  readonly track: AudioTrack;
  /** Whether the sound comes from a file of its own; then both files start together. */
  readonly separate: boolean;
  /** What each channel counts in mono, see `downmixWeights`; `undefined` where there is one channel, or nobody has looked. */
  readonly weights?: readonly number[] | undefined;
}

/** @throws HumancastError `media_too_small`. */
export function planEncode(video: VideoTrack, audio: PlannedAudio | undefined, settings: EncodeSettings): EncodePlan {
  const fps = settings.fps ?? chooseFrameRate(video);
  const display = displaySize(video);
  return {
    video,
    audio,
    fps,
    gopFrames: gopFramesOf(settings.gopMs, fps),
    renditions: settings.renditions.map((config) => ({ ...config, ...renditionSize(display, config) })),
    zeroSeconds: audio && !audio.separate ? segmentZero(video, audio.track, fps) : video.startSeconds,
  };
}

/**
 * A segment starts with its first frame. Where the sound starts earlier, the first frame is held for that time, in whole
 * frames, so that no frame has to move on the grid; less than one frame of sound before the picture is cut (mostly it is an
 * encoder's priming). Where the sound starts later, silence comes before it.
 */
export function segmentZero(video: VideoTrack, audio: AudioTrack, fps: Rational): number {
  const earlySeconds = Math.max(0, video.startSeconds - audio.startSeconds);
  const wholeFrames = Math.floor(earlySeconds * framesPerSecond(fps) + 1e-3);
  return video.startSeconds - wholeFrames / framesPerSecond(fps);
}
