import type { Rational } from '@humancast/protocol';
import type { FrameTimes } from './frame-times.js';
import type { Orientation } from './orientation.js';

/** Properties of a media file, known before all of it is decoded. */
export interface MediaInfo {
  /** The demuxer's names, e.g. `mov,mp4,m4a,3gp,3g2,mj2`. */
  readonly container: string;
  /** Length stated for the whole file, s; `undefined` if the container states none. */
  readonly durationSeconds: number | undefined;
  /** The video track to be used. */
  readonly video: VideoTrack | undefined;
  /** The audio track to be used. */
  readonly audio: AudioTrack | undefined;
  /** Audio tracks without a known decoder, if there is no other. */
  readonly undecodable: readonly { readonly index: number; readonly codec: string }[];
  /** Start of each chapter on the tracks' clock, s: the points at which an idle clip may be left. */
  readonly chapterSeconds: readonly number[];
}

/** Content of a track according to its packets, after reading all of them. */
export interface TrackContent {
  readonly packets: number;
  /** Sum of the packets' durations without gaps, s. */
  readonly packetSeconds: number;
  /** End of the last packet, on the same clock as `startSeconds`, s. */
  readonly endSeconds: number;
  /** Offset added to the track's timestamps after each jump of its clock, s. */
  readonly shifts: readonly number[];
}

export interface VideoTrack {
  /** Index of the stream in its file. */
  readonly index: number;
  readonly codec: string;
  /** Coded width, before rotation and correction of the pixel aspect ratio. */
  readonly width: number;
  readonly height: number;
  /** Orientation from the container's matrix, else from the first frame, else from a still image's EXIF data. */
  readonly orientation: Orientation;
  /** Whether an H.264 stream has display-orientation SEI. */
  readonly hasOrientationSei: boolean;
  /** Width of a pixel over its height. */
  readonly pixelAspect: Rational;
  readonly hasAlpha: boolean;
  /** Whether frames may be interlaced; each frame signals it. */
  readonly isInterlaced: boolean;
  /** YUV matrix in FFmpeg's names; `undefined` if the file states none. */
  readonly colorMatrix: string | undefined;
  readonly colorTransfer: string | undefined;
  readonly colorPrimaries: string | undefined;
  readonly isRgb: boolean;
  /** Number of frames divided by the duration. */
  readonly averageRate: Rational | undefined;
  /** The lowest rate whose grid contains all timestamps. */
  readonly nominalRate: Rational | undefined;
  /** Distance of frames by their timestamps; `undefined` for a single frame, or if not measured. */
  readonly frameTimes: FrameTimes | undefined;
  readonly content: TrackContent | undefined;
  readonly startSeconds: number;
  /** End of the track according to the file, on the same clock as `startSeconds`. */
  readonly endSeconds: number | undefined;
}

/** @returns The end of a track, s: the stated one, else that of its packets. */
export function endOf({ endSeconds, content }: Pick<AudioTrack, 'endSeconds' | 'content'>): number | undefined {
  return endSeconds ?? content?.endSeconds;
}

export interface AudioTrack {
  readonly index: number;
  readonly codec: string;
  /** Sample rate, Hz. */
  readonly sampleRate: number | undefined;
  readonly channels: number | undefined;
  /** FFmpeg's name of the layout, e.g. `5.1(side)`; `undefined` if the file states none. */
  readonly channelLayout: string | undefined;
  readonly content: TrackContent | undefined;
  readonly startSeconds: number;
  readonly endSeconds: number | undefined;
}
