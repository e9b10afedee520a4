import type { EncodedFrame } from '@humancast/shared';
import { ByteQueue } from './byte-queue.js';
import { type FrameParser, MAX_FRAME_BYTES } from './frame-parser.js';

const FILE_HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 12;

/** Parses VP8 in IVF: a file header, then each frame after its size (u32) and timestamp (u64), little-endian. */
export class IvfParser implements FrameParser {
  readonly #bytes = new ByteQueue();
  #headerRead = false;
  /** Size of the frame whose header has been read. */
  #frameBytes: number | undefined;

  push(chunk: Buffer): EncodedFrame[] {
    this.#bytes.push(chunk);
    const frames: EncodedFrame[] = [];
    if (!this.#headerRead && !this.#readHeader()) return frames;
    for (let frame = this.#next(); frame; frame = this.#next()) frames.push(frame);
    return frames;
  }

  end(): EncodedFrame[] {
    if (this.#bytes.length > 0 || this.#frameBytes !== undefined)
      throw new RangeError('the IVF stream ends inside a frame');
    return [];
  }

  #readHeader(): boolean {
    const header = this.#bytes.take(FILE_HEADER_BYTES);
    if (!header) return false;
    if (header.toString('latin1', 0, 4) !== 'DKIF') throw new RangeError('the stream is not IVF');
    this.#headerRead = true;
    return true;
  }

  #next(): EncodedFrame | undefined {
    this.#frameBytes ??= this.#bytes.take(FRAME_HEADER_BYTES)?.readUInt32LE(0);
    if (this.#frameBytes === undefined) return undefined;
    if (this.#frameBytes === 0 || this.#frameBytes > MAX_FRAME_BYTES) {
      throw new RangeError(`an IVF frame has ${this.#frameBytes} bytes`);
    }
    const data = this.#bytes.take(this.#frameBytes);
    if (!data) return undefined;
    this.#frameBytes = undefined;
    return vp8Frame(data);
  }
}

/** Reads the first byte of a frame: bit 0 is clear on keyframes, bit 4 set on frames to be shown (RFC 6386 §9.1). */
function vp8Frame(data: Buffer): EncodedFrame {
  const tag = data.readUInt8(0);
  if ((tag & 0x10) === 0) throw new RangeError('a VP8 frame is hidden');
  return { data, keyframe: (tag & 1) === 0 };
}
