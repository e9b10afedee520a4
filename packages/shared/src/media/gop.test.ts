import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type EncodedFrame, packGop, unpackGop } from './gop.js';

const frame = fc.record({ data: fc.uint8Array({ maxLength: 300 }).map(Buffer.from), keyframe: fc.boolean() });
const gop = fc
  .tuple(frame, fc.array(frame, { maxLength: 40 }))
  .map(([first, rest]): EncodedFrame[] => [{ ...first, keyframe: true }, ...rest]);

describe('packGop() and unpackGop()', () => {
  it('return exactly the frames that were packed', () => {
    fc.assert(
      fc.property(gop, (frames) => {
        expect(unpackGop(packGop(frames))).toEqual(frames);
      }),
    );
  });

  it('unpack without copying', () => {
    const blob = packGop([{ data: Buffer.from([1, 2, 3]), keyframe: true }]);
    expect(unpackGop(blob)[0]?.data.buffer).toBe(blob.buffer);
  });

  it('reject a blob that is truncated or has trailing bytes', () => {
    fc.assert(
      fc.property(gop, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 20 }), (frames, cut, extra) => {
        const blob = packGop(frames);
        expect(() => unpackGop(blob.subarray(0, cut % blob.length))).toThrow(RangeError);
        expect(() => unpackGop(Buffer.concat([blob, extra]))).toThrow(RangeError);
      }),
    );
  });

  it('never read outside of a damaged blob', () => {
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

  it('reject an unknown version', () => {
    const blob = packGop([{ data: Buffer.from([1]), keyframe: true }]);
    blob.writeUInt8(2, 2);
    expect(() => unpackGop(blob)).toThrow('GOP version 2, expected 1');
  });

  it('reject no frames, and a first frame that is no keyframe', () => {
    expect(() => packGop([])).toThrow(RangeError);
    expect(() => packGop([{ data: Buffer.from([1]), keyframe: false }])).toThrow('starts with a keyframe');
  });

  it('reject random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(() => unpackGop(Buffer.from(bytes))).toThrow(RangeError);
      }),
    );
  });
});

/** @returns `undefined` if the damage is detected; any other error fails the test. */
function framesOf(blob: Buffer): EncodedFrame[] | undefined {
  try {
    return unpackGop(blob);
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return undefined;
  }
}
