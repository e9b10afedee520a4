import type { Rational } from '@humancast/shared';

/** What a file says about itself, before a frame of it is decoded. */
export interface MediaInfo {
  /** The demuxer's names, e.g. `mov,mp4,m4a,3gp,3g2,mj2`. */
  readonly container: string;
  /** Length stated for the whole file, s; `undefined` where the container does not state one. */
  readonly durationSeconds: number | undefined;
  /** The picture track that will be used. */
  readonly video: VideoTrack | undefined;
  /** The sound track that will be used. */
  readonly audio: AudioTrack | undefined;
  /** Where chapters begin, on the same clock as the tracks: the points at which an idle clip may be left. */
  readonly chapterSeconds: readonly number[];
}

export interface VideoTrack {
  /** Index of the stream in its file. */
  readonly index: number;
  readonly codec: string;
  /** As coded: before rotation and before pixels are made square. */
  readonly width: number;
  readonly height: number;
  /** Clockwise degrees as stored, any sign. */
  readonly rotationDegrees: number;
  /** Width of a pixel over its height. */
  readonly pixelAspect: Rational;
  readonly hasAlpha: boolean;
  readonly isInterlaced: boolean;
  /** The matrix that makes RGB of YUV, as FFmpeg names it; `undefined` when the file doesn't say. */
  readonly colorMatrix: string | undefined;
  readonly colorTransfer: string | undefined;
  readonly isRgb: boolean;
  /** Frames over duration. */
  readonly averageRate: Rational | undefined;
  /** The lowest rate whose grid all timestamps lie on. */
  readonly nominalRate: Rational | undefined;
  readonly startSeconds: number;
  /** Where the track ends according to the file, on the same clock as `startSeconds`. */
  readonly endSeconds: number | undefined;
}

export interface AudioTrack {
  readonly index: number;
  /** Hz. */
  readonly sampleRate: number | undefined;
  readonly channels: number | undefined;
  /** FFmpeg's name of the layout, e.g. `5.1(side)`; `undefined` when the file doesn't say. */
  readonly channelLayout: string | undefined;
  readonly startSeconds: number;
  readonly endSeconds: number | undefined;
}
