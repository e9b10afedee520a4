import { type LivePart, type MediaStore, type SegmentManifest, unpackGop } from '@humancast/shared';
import { makeManifest } from '@humancast/testkit';
import { beforeEach, describe, expect, it } from 'vitest';
import { LiveSegment } from './live-segment.js';

const GOP = 10;
const rung = (id: string, width: number, bitrateBps: number) => {
  return { id, codec: 'vp8' as const, width, height: width, bitrateBps, bytes: 0 };
};
const [L, M, S] = [rung('l', 640, 1000), rung('m', 320, 500), rung('s', 160, 100)];

const parts: LivePart[] = [];
const gops = new Map<string, number[]>();
const manifests: SegmentManifest[] = [];
const trimmed: string[] = [];
let segment: LiveSegment;

beforeEach(() => {
  for (const list of [parts, manifests, trimmed]) list.length = 0;
  gops.clear();
  const store = {
    writeGop: async (_: string, rendition: string, index: number, gop: Buffer) => {
      gops.set(
        `${rendition}/${index}`,
        unpackGop(gop).map(({ data }) => data.readUInt8(0)),
      );
    },
    writePcm: async () => {},
    putManifest: async (manifest: SegmentManifest) => void manifests.push(manifest),
  } as unknown as MediaStore;
  const live = {
    append: async (_: string, added: readonly LivePart[]) => `0-${parts.push(...added)}`,
    trim: async (_: string, before: string) => void trimmed.push(before),
    expire: async () => {},
  };
  const open = makeManifest({ state: 'open', source: 'live', frames: 0, gopFrames: GOP, pcmSamples: 0 });
  segment = new LiveSegment({ ...open, renditions: [L, M, S] }, { pinned: true }, { store, live, onFailed: () => {} });
});

/** Adds frames as the encoder sends them, the largest rendition first. */
function add(fromFrame: number, toFrame: number, ...renditions: number[]): void {
  for (let frame = fromFrame; frame < toFrame; frame++) {
    for (const rendition of renditions) {
      void segment.addFrame(rendition, frame, frame % GOP === 0, Buffer.from([frame]));
    }
  }
}

const idsOf = (renditions: readonly { id: string }[] = []) => renditions.map(({ id }) => id);

describe('LiveSegment of which renditions were dropped for a time', () => {
  it('goes on with the others, and stores each GOP under its index', async () => {
    add(0, 10, 0, 1, 2);
    add(10, 20, 0, 2);
    add(20, 25, 0, 1, 2);
    expect(segment.frames).toBe(25);
    const manifest = await segment.close();
    expect(gops.has('m/1')).toBe(false);
    expect(gops.get('m/2')).toEqual([20, 21, 22, 23, 24]);
    expect(gops.get('l/1')).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    expect(manifest).toMatchObject({ state: 'complete', frames: 25 });
  });

  it('has those encoded again that are smaller than one without gaps', async () => {
    add(0, 10, 0, 1, 2);
    add(10, 20, 0, 2);
    const { renditions, missingRenditions } = await segment.close();
    expect(idsOf(renditions)).toEqual(['l', 's']);
    expect(missingRenditions).toEqual([{ id: 'm', codec: 'vp8', width: 320, height: 320, bitrateBps: 500 }]);
  });

  it('does without those that cannot be made from another one', async () => {
    add(0, 10, 0, 1, 2);
    add(10, 20, 1, 2);
    add(20, 30, 2);
    const { renditions, missingRenditions } = await segment.close();
    expect(idsOf(renditions)).toEqual(['s']);
    expect(missingRenditions?.map(({ id, failure }) => [id, failure?.code])).toEqual([
      ['l', 'live_overloaded'],
      ['m', 'live_overloaded'],
    ]);
  });

  it('is whole if none was', async () => {
    add(0, 25, 0, 1, 2);
    const manifest = await segment.close();
    expect(idsOf(manifest.renditions)).toEqual(['l', 'm', 's']);
    expect(manifest).not.toHaveProperty('missingRenditions');
  });

  it('is trimmed by what is there', async () => {
    segment.addAudio(new Int16Array(5 * 24_000));
    add(0, 10, 0, 1, 2);
    add(10, 40, 2);
    await segment.close();
    // The beginning of the last whole GOP.
    const at = parts.findIndex((part) => part.kind === 'frame' && part.frame === 30);
    expect(trimmed.at(-1)).toBe(
      `0-${Math.min(at + 1, parts.findIndex((part) => part.kind === 'audio' && part.sample === 96_000) + 1)}`,
    );
  });
});
