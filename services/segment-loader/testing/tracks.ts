import type { AudioTrack, MediaInfo, VideoTrack } from '../src/probe/media-info.js';

/** @returns A progressive 720p30 track of four seconds. */
export function videoTrack(overrides: Partial<VideoTrack> = {}): VideoTrack {
  return {
    index: 0,
    codec: 'h264',
    width: 1280,
    height: 720,
    orientation: 1,
    hasOrientationSei: false,
    pixelAspect: { num: 1, den: 1 },
    hasAlpha: false,
    isInterlaced: false,
    colorMatrix: 'bt709',
    colorTransfer: 'bt709',
    colorPrimaries: 'bt709',
    isRgb: false,
    averageRate: { num: 30, den: 1 },
    nominalRate: { num: 30, den: 1 },
    frameTimes: { seconds: 1 / 30, isSteady: true },
    content: undefined,
    startSeconds: 0,
    endSeconds: 4,
    ...overrides,
  };
}

export function audioTrack(overrides: Partial<AudioTrack> = {}): AudioTrack {
  return {
    index: 1,
    codec: 'aac',
    sampleRate: 48_000,
    channels: 1,
    channelLayout: 'mono',
    content: undefined,
    startSeconds: 0,
    endSeconds: 4,
    ...overrides,
  };
}

export function mediaInfo(overrides: Partial<MediaInfo> = {}): MediaInfo {
  return {
    container: 'mov,mp4,m4a,3gp,3g2,mj2',
    durationSeconds: 4,
    video: videoTrack(),
    audio: audioTrack(),
    undecodable: [],
    chapterSeconds: [],
    ...overrides,
  };
}
