import {
  LIVE_HEADER_BYTES,
  LIVE_KIND,
  type LiveProducerMessage,
  type LiveStart,
  liveProducerMessageSchema,
  type Rational,
} from '@humancast/protocol';
import { describeIssues, HumancastError } from '@humancast/shared';

const BYTES_PER_PIXEL = { bgr24: 3, rgb24: 3, rgba: 4 } as const;
/** Allowance for JPEG headers; without them, no JPEG exceeds the size of its pixels. */
const JPEG_EXTRA_BYTES = 65_536;

/** @throws HumancastError `bad_message`. */
export function parseText(text: string): LiveProducerMessage {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new HumancastError('bad_message', { detail: 'the message is not JSON', cause });
  }
  const parsed = liveProducerMessageSchema.safeParse(json);
  if (!parsed.success) throw new HumancastError('bad_message', describeIssues(parsed.error));
  return parsed.data;
}

/** @throws HumancastError `bad_message`. */
export function parseBinary(message: Buffer): { kind: keyof typeof LIVE_KIND; body: Buffer } {
  const body = message.subarray(LIVE_HEADER_BYTES);
  switch (message.length >= LIVE_HEADER_BYTES ? message[0] : undefined) {
    case LIVE_KIND.video:
      return { kind: 'video', body };
    case LIVE_KIND.audio:
      return { kind: 'audio', body };
    default:
      throw new HumancastError(
        'bad_message',
        'a binary message must begin with 1 (video) or 2 (audio) and three bytes of 0',
      );
  }
}

/** @throws HumancastError `live_frame_size`. */
export function checkFrameSize({ pixelFormat, width, height }: LiveStart, bytes: number): void {
  if (pixelFormat === 'jpeg') {
    const most = width * height * 3 + JPEG_EXTRA_BYTES;
    if (bytes > 0 && bytes <= most) return;
    throw new HumancastError('live_frame_size', `a JPEG of ${bytes} bytes; it must have 1 to ${most}`);
  }
  const expected = frameBytes(pixelFormat, width, height);
  if (bytes === expected) return;
  throw new HumancastError('live_frame_size', {
    detail: `the frame has ${bytes} bytes; ${width}×${height} in ${pixelFormat} has ${expected}`,
    extra: { bytes, expected },
  });
}

/**
 * @returns The size of a frame in bytes: rows without padding; the chroma planes of I420 have half the sides, rounded up.
 */
export function frameBytes(format: Exclude<LiveStart['pixelFormat'], 'jpeg'>, width: number, height: number): number {
  if (format !== 'i420') return width * height * BYTES_PER_PIXEL[format];
  return width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2);
}

/** Converts a rate given as a number: an integer, one of NTSC's (29.97 → 30000/1001), or thousandths. */
export function frameRateOf(fps: LiveStart['fps']): Rational {
  if (typeof fps !== 'number') return fps;
  if (Number.isInteger(fps)) return { num: fps, den: 1 };
  const ntsc = Math.ceil(fps);
  if (Math.abs((ntsc * 1000) / 1001 - fps) < 0.005) return { num: ntsc * 1000, den: 1001 };
  return { num: Math.round(fps * 1000), den: 1000 };
}
