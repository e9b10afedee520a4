import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cutAnywhere } from '../../testing/cut-anywhere.js';
import { IvfParser } from './ivf-parser.js';

const KEYFRAME = 0x10;
const INTERFRAME = 0x11;

function ivf(frames: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(32);
  header.write('DKIF', 'latin1');
  const parts = frames.flatMap((frame, i) => {
    const frameHeader = Buffer.alloc(12);
    frameHeader.writeUInt32LE(frame.length, 0);
    frameHeader.writeBigUInt64LE(BigInt(i), 4);
    return [frameHeader, frame];
  });
  return Buffer.concat([header, ...parts]);
}

const frame = fc
  .tuple(fc.boolean(), fc.uint8Array({ maxLength: 200 }))
  .map(([isKey, rest]) => Buffer.from([isKey ? KEYFRAME : INTERFRAME, ...rest]));

describe('IvfParser', () => {
  it('returns the same frames however the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 12 }).chain((frames) => fc.tuple(fc.constant(frames), cutAnywhere(ivf(frames)))),
        ([frames, chunks]) => {
          const parser = new IvfParser();
          const parsed = [...chunks.flatMap((chunk) => parser.push(chunk)), ...parser.end()];
          expect(parsed.map(({ data }) => data)).toEqual(frames);
          expect(parsed.map(({ keyframe }) => keyframe)).toEqual(frames.map((data) => data[0] === KEYFRAME));
        },
      ),
    );
  });

  it('rejects a stream that is not IVF', () => {
    expect(() => new IvfParser().push(Buffer.alloc(32))).toThrow(/not IVF/);
  });

  it('rejects a stream that ends within a frame or its header', () => {
    const stream = ivf([Buffer.from([KEYFRAME, 1, 2, 3])]);
    for (const missing of [1, 4, 10]) {
      const parser = new IvfParser();
      parser.push(stream.subarray(0, stream.length - missing));
      expect(() => parser.end()).toThrow(/ends inside a frame/);
    }
  });

  it('rejects a frame that is never shown, because it would count as one', () => {
    expect(() => new IvfParser().push(ivf([Buffer.from([0x00, 1])]))).toThrow(/hidden/);
  });

  it('rejects a frame of impossible size instead of waiting for it', () => {
    const stream = ivf([Buffer.from([KEYFRAME])]);
    stream.writeUInt32LE(0xffff_ffff, 32);
    expect(() => new IvfParser().push(stream)).toThrow(/4294967295 bytes/);
  });
});
