import type { Alpha, Rational, Rendition, RenditionConfig } from '@humancast/protocol';
import type { AudioTrack, VideoTrack } from '../probe/media-info.js';
import { chooseFrameRate, framesPerSecond, gopFramesOf } from './frame-rate.js';
import { displaySize, renditionSize, type Size } from './video-size.js';

/** Encoding settings of an avatar's segments. */
export interface EncodeSettings {
  readonly renditions: readonly RenditionConfig[];
  readonly gopMs: number;
  /** The avatar's own frame rate, if set. */
  readonly fps: Rational | undefined;
  readonly alpha?: Alpha | undefined;
  /** Target loudness of the audio, LUFS (EBU R 128); `undefined`: unchanged. */
  readonly loudness?: number | undefined;
}

/** Its size is the coded one: with a matte, that of both. */
export interface PlannedRendition extends RenditionConfig, Size {
  readonly alpha?: Alpha | undefined;
}

/** A file's encoding plan, made before it is decoded. */
export interface EncodePlan {
  readonly video: VideoTrack;
  readonly audio: PlannedAudio | undefined;
  readonly fps: Rational;
  readonly gopFrames: number;
  readonly renditions: readonly PlannedRendition[];
  /** Time in the file that becomes the segment's start, s. */
  readonly zeroSeconds: number;
  /** Gain that brings the audio to the requested loudness, dB; `undefined`: unchanged. */
  readonly loudnessGainDb?: number | undefined;
}

export interface PlannedAudio {
  readonly track: AudioTrack;
  /** Whether the audio has its own file; then both files start together. */
  readonly separate: boolean;
  /** Weight of each channel in the mono mix, see `downmixWeights`; `undefined` for mono, or if not analyzed. */
  readonly weights?: readonly number[] | undefined;
}

/** @throws HumancastError `media_too_small`. */
export function planRenditions(
  display: Size,
  { renditions, alpha }: Pick<EncodeSettings, 'renditions' | 'alpha'>,
): PlannedRendition[] {
  return renditions.map((config) => {
    const size = renditionSize(display, config);
    return alpha ? { ...config, alpha, width: size.width, height: 2 * size.height } : { ...config, ...size };
  });
}

/** @returns A planned rendition as manifests describe it. @param bytes Size of what is stored of it. */
export function storedRendition(
  { id, codec, alpha, width, height, bitrateBps }: Omit<Rendition, 'bytes'>,
  bytes: number,
): Rendition {
  return { id, codec, ...(alpha && { alpha }), width, height, bitrateBps, bytes };
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
    renditions: planRenditions(display, settings),
    zeroSeconds: audio && !audio.separate ? segmentZero(video, audio.track, fps) : video.startSeconds,
  };
}

/**
 * A segment starts with its first frame. If the audio starts earlier, the first frame is repeated for that time in whole
 * frames, so that no frame moves on the grid; less than one frame of earlier audio is cut (usually encoder priming). If the
 * audio starts later, it is preceded by silence.
 */
export function segmentZero(video: VideoTrack, audio: AudioTrack, fps: Rational): number {
  const earlySeconds = Math.max(0, video.startSeconds - audio.startSeconds);
  const wholeFrames = Math.floor(earlySeconds * framesPerSecond(fps) + 1e-3);
  return video.startSeconds - wholeFrames / framesPerSecond(fps);
}
