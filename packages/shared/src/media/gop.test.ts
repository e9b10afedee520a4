import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type EncodedFrame, packGop, unpackGop } from './gop.js';

const frame = fc.record({ data: fc.uint8Array({ maxLength: 300 }).map(Buffer.from), keyframe: fc.boolean() });
const gop = fc
  .tuple(frame, fc.array(frame, { maxLength: 40 }))
  .map(([first, rest]): EncodedFrame[] => [{ ...first, keyframe: true }, ...rest]);

describe('a packed GOP', () => {
  it('unpacks to exactly the frames that went in', () => {
    fc.assert(
      fc.property(gop, (frames) => {
        expect(unpackGop(packGop(frames))).toEqual(frames);
      }),
    );
  });

  it('is unpacked without copying', () => {
    const blob = packGop([{ data: Buffer.from([1, 2, 3]), keyframe: true }]);
    expect(unpackGop(blob)[0]?.data.buffer).toBe(blob.buffer);
  });

  it('is noticed when it is cut short anywhere, or has something after it', () => {
    fc.assert(
      fc.property(gop, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 20 }), (frames, cut, extra) => {
        const blob = packGop(frames);
        expect(() => unpackGop(blob.subarray(0, cut % blob.length))).toThrow(RangeError);
        expect(() => unpackGop(Buffer.concat([blob, extra]))).toThrow(RangeError);
      }),
    );
  });

  it('never reads outside of a damaged blob: a RangeError, or frames that lie within', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(gop, flips, (frames, damage) => {
        const blob = packGop(frames);
        for (const [at, xor] of damage) blob[at % blob.length] = (blob[at % blob.length] ?? 0) ^ xor;
        const unpacked = framesOf(blob);
        const bytes = unpacked?.reduce((sum, { data }) => sum + data.length, 8 + 4 * unpacked.length);
        expect([undefined, blob.length]).toContain(bytes);
      }),
      { numRuns: 500 },
    );
  });

  it('is refused by what does not know its version', () => {
    const blob = packGop([{ data: Buffer.from([1]), keyframe: true }]);
    blob.writeUInt8(2, 2);
    expect(() => unpackGop(blob)).toThrow('GOP version 2, expected 1');
  });

  it('is not made of nothing, nor without a keyframe first', () => {
    expect(() => packGop([])).toThrow(RangeError);
    expect(() => packGop([{ data: Buffer.from([1]), keyframe: false }])).toThrow('starts with a keyframe');
  });

  it('is not found in random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => unpackGop(Buffer.from(bytes))).toThrow(RangeError);
      }),
    );
  });
});

/** `undefined` where the damage is noticed; anything else thrown fails the test. */
function framesOf(blob: Buffer): EncodedFrame[] | undefined {
  try {
    return unpackGop(blob);
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return undefined;
  }
}
