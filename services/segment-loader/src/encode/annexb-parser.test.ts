import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutAnywhere } from '../../testing/cut-anywhere.js';
import { AnnexBParser } from './annexb-parser.js';

const SHORT = Buffer.from([0, 0, 1]);
const LONG = Buffer.from([0, 0, 0, 1]);
const DELIMITER = Buffer.from([9, 0xf0]);

/** A NAL unit as encoders write it: without a start code inside, with a stop bit at its end (H.264 §7.4.1). */
function nal(type: number, payload: Uint8Array): Buffer {
  return Buffer.from([type | 0x60, ...[...payload].map((byte) => (byte < 4 ? byte + 4 : byte)), 0x80]);
}

interface Unit {
  readonly isIdr: boolean;
  readonly slices: readonly Uint8Array[];
  readonly hasSei: boolean;
  readonly startCode: Buffer;
}

const unit: fc.Arbitrary<Unit> = fc.record({
  isIdr: fc.boolean(),
  slices: fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 3 }),
  hasSei: fc.boolean(),
  startCode: fc.constantFrom(SHORT, LONG),
});

/** @returns The NAL units of an access unit that a decoder needs. */
function essentials({ isIdr, slices }: Unit): Buffer[] {
  const parameters = isIdr ? [nal(7, Uint8Array.of(1, 2)), nal(8, Uint8Array.of(3))] : [];
  return [...parameters, ...slices.map((slice) => nal(isIdr ? 5 : 1, slice))];
}

function annexB(units: readonly Unit[]): Buffer {
  return Buffer.concat(
    units.flatMap((item) => {
      const sei = item.hasSei ? [nal(6, Uint8Array.of(5, 5, 5))] : [];
      return [DELIMITER, ...sei, ...essentials(item)].flatMap((data) => [item.startCode, data]);
    }),
  );
}

describe('AnnexBParser', () => {
  it('returns the same access units however the stream is cut, without what no decoder needs', () => {
    fc.assert(
      fc.property(
        fc.array(unit, { maxLength: 8 }).chain((units) => fc.tuple(fc.constant(units), cutAnywhere(annexB(units)))),
        ([units, chunks]) => {
          const parser = new AnnexBParser();
          const frames = [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()];
          expect(frames.map(({ data }) => data)).toEqual(
            units.map((item) => Buffer.concat(essentials(item).flatMap((data) => [LONG, data]))),
          );
          expect(frames.map(({ keyframe }) => keyframe)).toEqual(units.map(({ isIdr }) => isIdr));
        },
      ),
    );
  });

  it('returns an access unit as soon as the next one begins', () => {
    const parser = new AnnexBParser();
    const first: Unit = { isIdr: true, slices: [Uint8Array.of(9)], hasSei: false, startCode: LONG };
    expect(parser.push(annexB([first]))).toEqual([]);
    expect(parser.push(Buffer.concat([LONG, DELIMITER, LONG]))).toHaveLength(1);
  });

  it('returns nothing for an empty stream', () => {
    expect(new AnnexBParser().end()).toEqual([]);
  });
});
