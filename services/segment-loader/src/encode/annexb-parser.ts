import type { EncodedFrame } from '@humancast/shared';
import { type FrameParser, MAX_FRAME_BYTES } from './frame-parser.js';

const START_CODE = Buffer.from([0, 0, 1]);
const LONG_START_CODE = Buffer.from([0, 0, 0, 1]);

/** nal_unit_type (H.264 table 7-1). */
const NAL = { slice: 1, idr: 5, sequenceParameters: 7, pictureParameters: 8, delimiter: 9 } as const;
const KEPT: ReadonlySet<number> = new Set([NAL.slice, NAL.idr, NAL.sequenceParameters, NAL.pictureParameters]);

/**
 * Splits H.264 in Annex B format into access units at their delimiters (H.264 §7.4.1.2.3). Delimiters, SEI and filler are
 * dropped, because a viewer's decoder needs none of them.
 */
export class AnnexBParser implements FrameParser {
  #bytes: Buffer = Buffer.alloc(0);
  /** Position at which the search for the next start code continues. */
  #searchFrom = 0;
  /** Start of the current NAL unit, after its start code. */
  #nalStart: number | undefined;
  #unit: Buffer[] = [];
  #isIdr = false;

  push(chunk: Buffer): EncodedFrame[] {
    this.#bytes = this.#bytes.length === 0 ? chunk : Buffer.concat([this.#bytes, chunk]);
    const frames: EncodedFrame[] = [];
    for (;;) {
      const at = this.#bytes.indexOf(START_CODE, this.#searchFrom);
      if (at === -1) break;
      frames.push(...this.#finishNal(at));
      this.#nalStart = at + START_CODE.length;
      this.#searchFrom = this.#nalStart;
    }
    this.#forget();
    return frames;
  }

  end(): EncodedFrame[] {
    const frames = [...this.#finishNal(this.#bytes.length), ...this.#finishUnit()];
    this.#bytes = Buffer.alloc(0);
    this.#nalStart = undefined;
    return frames;
  }

  /** Drops the consumed bytes; a start code may still be split across chunks. */
  #forget(): void {
    const keepFrom = this.#nalStart ?? Math.max(0, this.#bytes.length - 2);
    if (this.#bytes.length - keepFrom > MAX_FRAME_BYTES)
      throw new RangeError(`a NAL unit exceeds ${MAX_FRAME_BYTES} bytes`);
    this.#bytes = this.#bytes.subarray(keepFrom);
    if (this.#nalStart !== undefined) this.#nalStart = 0;
    this.#searchFrom = Math.max(0, this.#bytes.length - 2);
  }

  #finishNal(end: number): EncodedFrame[] {
    if (this.#nalStart === undefined) return [];
    const nal = withoutTrailingZeros(this.#bytes.subarray(this.#nalStart, end));
    if (nal.length === 0) return [];
    const type = nal.readUInt8(0) & 0x1f;
    if (type === NAL.delimiter) return this.#finishUnit();
    if (KEPT.has(type)) this.#unit.push(LONG_START_CODE, nal);
    if (type === NAL.idr) this.#isIdr = true;
    return [];
  }

  #finishUnit(): EncodedFrame[] {
    if (this.#unit.length === 0) return [];
    const frame = { data: Buffer.concat(this.#unit), keyframe: this.#isIdr };
    this.#unit = [];
    this.#isIdr = false;
    return [frame];
  }
}

/** Trailing zeros belong to the next start code (H.264 §B.1.1); a NAL unit itself ends in a stop bit. */
function withoutTrailingZeros(nal: Buffer): Buffer {
  let end = nal.length;
  while (end > 0 && nal[end - 1] === 0) end--;
  return nal.subarray(0, end);
}
