import { makeManifest } from '@humancast/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type LivePart, packLivePart, unpackLivePart } from './live-part.js';

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const frame = fc.record({
  kind: fc.constant('frame' as const),
  rendition: fc.integer({ min: 0, max: 255 }),
  frame: uint32,
  keyframe: fc.boolean(),
  data: bytes,
});
const audio = fc.record({ kind: fc.constant('audio' as const), sample: uint32, pcm: bytes });

const manifest = makeManifest({ source: 'live' });

describe('live parts', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(fc.oneof(frame, audio), (part: LivePart) => {
        expect(unpackLivePart(packLivePart(part))).toEqual(part);
      }),
    );
    expect(unpackLivePart(packLivePart({ kind: 'alive' }))).toEqual({ kind: 'alive' });
    const text = { kind: 'text', number: 7, cue: { text: 'Grüß dich', atMs: 0, untilMs: 1.5 } } as const;
    expect(unpackLivePart(packLivePart(text))).toEqual(text);
    expect(unpackLivePart(packLivePart({ kind: 'end', manifest }))).toEqual({ kind: 'end', manifest });
  });

  it.each([Buffer.alloc(0), Buffer.alloc(7, 1), Buffer.alloc(8), Buffer.alloc(8, 9)])(
    'are not read from %j',
    (value) => {
      expect(() => unpackLivePart(value)).toThrow(RangeError);
    },
  );

  it('reject an end without a manifest', () => {
    expect(() => unpackLivePart(Buffer.concat([Buffer.from([4, 0, 0, 0, 0, 0, 0, 0]), Buffer.from('{}')]))).toThrow();
  });
});
