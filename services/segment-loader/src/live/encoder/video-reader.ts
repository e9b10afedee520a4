import type { Codec, PixelFormat } from '@humancast/protocol';
import {
  AV_CODEC_ID_H264,
  AV_CODEC_ID_MJPEG,
  AV_CODEC_ID_VP8,
  AV_PIX_FMT_BGR24,
  AV_PIX_FMT_RGB24,
  AV_PIX_FMT_RGBA,
  AV_PIX_FMT_YUV420P,
  AVCOL_RANGE_JPEG,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT470BG,
  AVCOL_SPC_RGB,
  type AVCodecID,
  type AVPixelFormat,
} from 'node-av/constants';
import { Codec as AvCodec, CodecContext, FFmpegError, Frame, Packet } from 'node-av/lib';
import { Upright } from './upright.js';

const RAW_FORMAT: Readonly<Record<Exclude<PixelFormat, 'jpeg'>, AVPixelFormat>> = {
  bgr24: AV_PIX_FMT_BGR24,
  rgb24: AV_PIX_FMT_RGB24,
  rgba: AV_PIX_FMT_RGBA,
  i420: AV_PIX_FMT_YUV420P,
};

const STILL_CODEC: Readonly<Record<Codec, AVCodecID>> = { vp8: AV_CODEC_ID_VP8, h264: AV_CODEC_ID_H264 };

/** A frame that does not have the format stated in the header. */
export class BadFrame extends Error {
  override readonly name = 'BadFrame';
}

/** Reads a producer's frames. I420 means BT.601 and limited range, as made by OpenCV and libyuv. */
export class VideoReader {
  readonly #setup: { readonly width: number; readonly height: number; readonly pixelFormat: PixelFormat };
  readonly #jpeg: CodecContext | undefined;
  readonly #upright = new Upright();

  constructor(setup: { readonly width: number; readonly height: number; readonly pixelFormat: PixelFormat }) {
    this.#setup = setup;
    this.#jpeg = setup.pixelFormat === 'jpeg' ? openDecoder(AV_CODEC_ID_MJPEG) : undefined;
  }

  /** @returns A frame that the caller frees. @throws BadFrame. */
  read(bytes: Buffer): Frame {
    const { width, height, pixelFormat } = this.#setup;
    if (pixelFormat !== 'jpeg') return rawFrame(bytes, width, height, RAW_FORMAT[pixelFormat]);
    const decoded = this.#jpeg && decode(this.#jpeg, bytes);
    if (!decoded) throw new BadFrame('a frame is not a decodable JPEG');
    const frame = this.#upright.turn(decoded);
    if (frame.width === width && frame.height === height) return frame;
    const size = `${frame.width}×${frame.height}`;
    frame.free();
    throw new BadFrame(
      `a JPEG is ${size} after its EXIF orientation is applied, but the header states ${width}×${height}`,
    );
  }
}

/** Decodes an encoded keyframe. @returns `undefined` if it can't be decoded. */
export function stillFrame(codec: Codec, bytes: Buffer): Frame | undefined {
  const decoder = openDecoder(STILL_CODEC[codec]);
  try {
    return decode(decoder, bytes);
  } finally {
    decoder.freeContext();
  }
}

export function emptyFrame(width: number, height: number, isTransparent: boolean): Frame {
  return isTransparent
    ? rawFrame(Buffer.alloc(width * height * 4), width, height, AV_PIX_FMT_RGBA)
    : rawFrame(Buffer.alloc(width * height * 3), width, height, AV_PIX_FMT_RGB24);
}

function rawFrame(bytes: Buffer, width: number, height: number, format: AVPixelFormat): Frame {
  const frame = Frame.fromVideoBuffer(bytes, { width, height, format, timeBase: { num: 1, den: 1000 }, pts: 0n });
  const isRgb = format !== AV_PIX_FMT_YUV420P;
  frame.colorSpace = isRgb ? AVCOL_SPC_RGB : AVCOL_SPC_BT470BG;
  frame.colorRange = isRgb ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
  return frame;
}

function openDecoder(id: AVCodecID): CodecContext {
  const codec = AvCodec.findDecoder(id);
  if (!codec) throw new Error(`no decoder ${id}`);
  const context = new CodecContext();
  context.allocContext3(codec);
  context.threadCount = 1;
  FFmpegError.throwIfError(context.open2Sync(codec, null), 'opening a decoder');
  return context;
}

function decode(decoder: CodecContext, bytes: Buffer): Frame | undefined {
  const packet = new Packet();
  packet.alloc();
  const frame = new Frame();
  frame.alloc();
  try {
    packet.data = bytes;
    if (decoder.sendPacketSync(packet) < 0) return undefined;
    let got = decoder.receiveFrameSync(frame);
    if (got < 0) {
      // Some decoders delay their last frame until they are drained.
      decoder.sendPacketSync(null);
      got = decoder.receiveFrameSync(frame);
      decoder.flushBuffers();
    }
    return got < 0 ? undefined : frame;
  } finally {
    packet.free();
  }
}
