/** Size of the frame tag; in a keyframe a start code and the frame size follow it (RFC 6386 §9.1). */
const TAG_BYTES = 3;
const KEYFRAME_TAG_BYTES = 10;
/** Adjustments of the loop filter by reference frame and by prediction mode (RFC 6386 §9.6). */
const FILTER_DELTAS = 8;

/**
 * Tells which frames of a VP8 stream are discardable: those that leave no reference, probabilities or persistent setting
 * that a later frame needs (RFC 6386 §9.3–9.11). It reads that from the frames themselves.
 */
export class Vp8References {
  /** Values set by the frames so far; a keyframe resets them to 0. */
  readonly #filterDeltas = new Int8Array(FILTER_DELTAS);

  /**
   * @param data The next frame, in the order of the stream.
   * @returns Whether no later frame needs it.
   */
  isDiscardable(data: Buffer): boolean {
    const isKeyframe = ((data[0] ?? 0) & 1) === 0;
    const header = new BoolDecoder(data.subarray(isKeyframe ? KEYFRAME_TAG_BYTES : TAG_BYTES));
    if (isKeyframe) {
      this.#filterDeltas.fill(0);
      header.bits(2); // Color space and clamping.
    }
    const changesSegments = readSegmentation(header);
    header.bits(1 + 6 + 3); // The loop filter's type, level and sharpness.
    const changesFilter = this.#readFilterDeltas(header);
    return !isKeyframe && !changesSegments && !changesFilter && !keepsAnything(header);
  }

  /** @returns Whether a delta differs from its value before. */
  #readFilterDeltas(header: BoolDecoder): boolean {
    const isUpdated = header.flag() && header.flag();
    let isChanged = false;
    for (let i = 0; isUpdated && i < FILTER_DELTAS; i++) {
      if (!header.flag()) continue;
      const magnitude = header.bits(6);
      const delta = header.flag() ? -magnitude : magnitude;
      isChanged ||= delta !== this.#filterDeltas[i];
      this.#filterDeltas[i] = delta;
    }
    return isChanged;
  }
}

/** @returns Whether the segments' map or features change (§9.3). */
function readSegmentation(header: BoolDecoder): boolean {
  if (!header.flag()) return false;
  const changesMap = header.flag();
  const changesFeatures = header.flag();
  if (changesFeatures) {
    header.flag();
    for (let i = 0; i < 4; i++) if (header.flag()) header.bits(7 + 1); // Quantizer and sign,
    for (let i = 0; i < 4; i++) if (header.flag()) header.bits(6 + 1); // loop filter level and sign.
  }
  for (let i = 0; changesMap && i < 3; i++) if (header.flag()) header.bits(8);
  return changesMap || changesFeatures;
}

/** @returns Whether the frame becomes a reference or its probabilities are kept (§9.7, §9.10, §9.11). */
function keepsAnything(header: BoolDecoder): boolean {
  header.bits(2); // Partitions of coefficients.
  header.bits(7); // Quantizer index,
  for (let i = 0; i < 5; i++) if (header.flag()) header.bits(4 + 1); // and its differences.
  const refreshesGolden = header.flag();
  const refreshesAlternate = header.flag();
  const copiesToGolden = !refreshesGolden && header.bits(2) !== 0;
  const copiesToAlternate = !refreshesAlternate && header.bits(2) !== 0;
  header.bits(2); // Sign biases, which each frame sets.
  const keepsProbabilities = header.flag();
  const refreshesLast = header.flag();
  const refreshes = refreshesGolden || refreshesAlternate || refreshesLast;
  return refreshes || copiesToGolden || copiesToAlternate || keepsProbabilities;
}

/** Reads the fields of a frame header, whose bits have equal probabilities (§7.3). */
class BoolDecoder {
  readonly #data: Buffer;
  #at = 2;
  #value: number;
  #range = 255;
  #shifted = 0;

  constructor(data: Buffer) {
    this.#data = data;
    this.#value = ((data[0] ?? 0) << 8) | (data[1] ?? 0);
  }

  flag(): boolean {
    const split = 1 + (((this.#range - 1) * 128) >> 8);
    const isSet = this.#value >= split << 8;
    if (isSet) {
      this.#range -= split;
      this.#value -= split << 8;
    } else {
      this.#range = split;
    }
    for (; this.#range < 128; this.#range <<= 1) {
      this.#value <<= 1;
      if (++this.#shifted === 8) {
        this.#shifted = 0;
        this.#value |= this.#data[this.#at++] ?? 0;
      }
    }
    return isSet;
  }

  bits(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) value = (value << 1) | (this.flag() ? 1 : 0);
    return value;
  }
}
