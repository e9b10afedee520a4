import type { Codec, Rational } from '@humancast/protocol';
import {
  AV_CODEC_FLAG_LOW_DELAY,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  AV_PROFILE_H264_BASELINE,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_TRC_BT709,
  type FFVideoEncoder,
} from 'node-av/constants';
import { Codec as AvCodec, Rational as AvRational, CodecContext, FFmpegError, type Frame, Packet } from 'node-av/lib';

export interface RenditionSetup {
  readonly codec: Codec;
  readonly width: number;
  readonly height: number;
  readonly bitrateBps: number;
}

const ENCODER: Readonly<Record<Codec, FFVideoEncoder>> = {
  vp8: 'libvpx' as FFVideoEncoder,
  h264: 'libx264' as FFVideoEncoder,
};

/** Options as for files (`encode/encoder-arguments.ts`), but without delayed frames. */
const OPTIONS: Readonly<Record<Codec, Readonly<Record<string, string>>>> = {
  vp8: { deadline: 'realtime', 'cpu-used': '-8', 'lag-in-frames': '0', 'auto-alt-ref': '0' },
  h264: {
    preset: 'superfast',
    tune: 'zerolatency',
    'forced-idr': '1',
    // One slice per frame: zerolatency would create slices for threads that are not used.
    'x264-params': 'aud=1:scenecut=0:repeat-headers=1:sliced-threads=0',
  },
};

/** GOP length that leaves keyframes to the caller. */
const NO_OWN_KEYFRAMES = 1_000_000;

/** Encodes one rendition synchronously: one packet for each frame. */
export class RenditionEncoder {
  readonly #context = new CodecContext();
  readonly #packet = new Packet();

  /**
   * @param options For the encoder, beside those of all renditions.
   * @throws FFmpegError if the encoder is missing or rejects the settings.
   */
  constructor(
    { codec, width, height, bitrateBps }: RenditionSetup,
    fps: Rational,
    options: Readonly<Record<string, string>> = {},
  ) {
    const encoder = AvCodec.findEncoderByName(ENCODER[codec]);
    if (!encoder) throw new Error(`no encoder for ${codec}`);
    const context = this.#context;
    context.allocContext3(encoder);
    context.width = width;
    context.height = height;
    context.pixelFormat = AV_PIX_FMT_YUV420P;
    context.timeBase = new AvRational(fps.den, fps.num);
    context.framerate = new AvRational(fps.num, fps.den);
    context.bitRate = BigInt(bitrateBps);
    context.rcMaxRate = BigInt(bitrateBps);
    context.rcBufferSize = bitrateBps;
    context.gopSize = NO_OWN_KEYFRAMES;
    context.maxBFrames = 0;
    context.threadCount = 1;
    context.setFlags(AV_CODEC_FLAG_LOW_DELAY);
    context.colorRange = AVCOL_RANGE_MPEG;
    if (codec === 'vp8') {
      // libvpx keeps a constant rate if minimum and maximum equal the target.
      context.rcMinRate = BigInt(bitrateBps);
    } else {
      context.profile = AV_PROFILE_H264_BASELINE;
      context.colorSpace = AVCOL_SPC_BT709;
      context.colorPrimaries = AVCOL_PRI_BT709;
      context.colorTrc = AVCOL_TRC_BT709;
    }
    // A dictionary passed to open2 crashes the process.
    for (const [name, value] of Object.entries({ ...OPTIONS[codec], ...options })) {
      FFmpegError.throwIfError(context.setOption(name, value), `option ${name}`);
    }
    FFmpegError.throwIfError(context.open2Sync(encoder, null), 'opening the encoder');
    this.#packet.alloc();
  }

  /** @throws FFmpegError; Error if the encoder delays the frame. */
  encode(frame: Frame, number: number, keyframe: boolean): { data: Buffer; keyframe: boolean } {
    frame.pts = BigInt(number);
    frame.pictType = keyframe ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    FFmpegError.throwIfError(this.#context.sendFrameSync(frame), 'encoding');
    FFmpegError.throwIfError(this.#context.receivePacketSync(this.#packet), 'taking an encoded frame');
    try {
      const { data } = this.#packet;
      if (!data) throw new Error('an encoded frame without data');
      return { data: Buffer.from(data), keyframe: this.#packet.isKeyframe };
    } finally {
      this.#packet.unref();
    }
  }
}
