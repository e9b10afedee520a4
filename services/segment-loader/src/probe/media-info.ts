import type { Rational } from '@humancast/protocol';
import type { FrameTimes } from './frame-times.js';
import type { Orientation } from './orientation.js';

/** What a file holds and says about itself, before all of it is decoded. */
export interface MediaInfo {
  /** The demuxer's names, e.g. `mov,mp4,m4a,3gp,3g2,mj2`. */
  readonly container: string;
  /** Length stated for the whole file, s; `undefined` where the container does not state one. */
  readonly durationSeconds: number | undefined;
  /** The picture track that will be used. */
  readonly video: VideoTrack | undefined;
  /** The sound track that will be used. */
  readonly audio: AudioTrack | undefined;
  /** The sound tracks that no decoder is known for, where there is no other. */
  readonly undecodable: readonly { readonly index: number; readonly codec: string }[];
  /** Where chapters begin, on the same clock as the tracks: the points at which an idle clip may be left. */
  readonly chapterSeconds: readonly number[];
}

/** What the packets of a track say, all of them having been read. */
export interface TrackContent {
  readonly packets: number;
  /** The sum of the packets' durations; holes don't count. */
  readonly packetSeconds: number;
  /** Where the last packet ends, on the same clock as `startSeconds`, s. */
  readonly endSeconds: number;
  /** What is added to the track's timestamps after each jump of its clock, s. */
  readonly shifts: readonly number[];
}

export interface VideoTrack {
  /** Index of the stream in its file. */
  readonly index: number;
  readonly codec: string;
  /** As coded: before rotation and before pixels are made square. */
  readonly width: number;
  readonly height: number;
  /** By the container's matrix where there is one, else by what the first frame says, else by a still picture's EXIF data. */
  readonly orientation: Orientation;
  /** Whether an H.264 stream says in its own frames how they are turned. */
  readonly hasOrientationSei: boolean;
  /** Width of a pixel over its height. */
  readonly pixelAspect: Rational;
  readonly hasAlpha: boolean;
  /** Whether frames may be interlaced; each one says so itself. */
  readonly isInterlaced: boolean;
  /** The matrix that makes RGB of YUV, as FFmpeg names it; `undefined` when the file doesn't say. */
  readonly colorMatrix: string | undefined;
  readonly colorTransfer: string | undefined;
  readonly colorPrimaries: string | undefined;
  readonly isRgb: boolean;
  /** Frames over duration. */
  readonly averageRate: Rational | undefined;
  /** The lowest rate whose grid all timestamps lie on. */
  readonly nominalRate: Rational | undefined;
  /** How far apart frames are by their own timestamps; `undefined` when there is but one, or nobody has looked. */
  readonly frameTimes: FrameTimes | undefined;
  readonly content: TrackContent | undefined;
  readonly startSeconds: number;
  /** Where the track ends according to the file, on the same clock as `startSeconds`. */
  readonly endSeconds: number | undefined;
}

/** Where a track ends: as the file says if it does, else as its packets say, s. */
export function endOf({ endSeconds, content }: Pick<AudioTrack, 'endSeconds' | 'content'>): number | undefined {
  return endSeconds ?? content?.endSeconds;
}

export interface AudioTrack {
  readonly index: number;
  readonly codec: string;
  /** Hz. */
  readonly sampleRate: number | undefined;
  readonly channels: number | undefined;
  /** FFmpeg's name of the layout, e.g. `5.1(side)`; `undefined` when the file doesn't say. */
  readonly channelLayout: string | undefined;
  readonly content: TrackContent | undefined;
  readonly startSeconds: number;
  readonly endSeconds: number | undefined;
}
