import { type Codec } from '@humancast/protocol';
import { CLOCK_PER_PCM, type MediaStore, PCM_CHUNK_SAMPLES, packGop, type SegmentManifest } from '@humancast/shared';
import { makeManifest } from '@humancast/testkit';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RenditionDemand } from '../playout/rendition-demand.js';
import { MediaCache } from './media-cache.js';
import { SegmentClip, type SegmentClipOptions } from './segment-clip.js';

const GOP = 10;

/** Ten seconds at 10 fps; each frame's bytes are its number and each PCM sample its index. */
const manifest = makeManifest({
  id: 'seg_aaaaaaaaaaaa',
  fps: { num: 10, den: 1 },
  frames: 100,
  gopFrames: GOP,
  pcmSamples: 9 * PCM_CHUNK_SAMPLES + 500,
  durationSamples: 480_000,
  renditions: [
    { id: 'v', codec: 'vp8', width: 2, height: 2, bitrateBps: 1, bytes: 100 },
    { id: 'h', codec: 'h264', width: 2, height: 2, bitrateBps: 1, bytes: 100 },
  ],
});

type Reads = Pick<MediaStore, 'readGop' | 'readPcm'>;

class MemoryStore implements Reads {
  readonly reads: string[] = [];
  readonly missing = new Set<string>();
  failures = 0;

  async readGop(_segment: string, rendition: string, index: number): Promise<Buffer | undefined> {
    if (!this.#found(`${rendition}/${index}`)) return undefined;
    const frames = Array.from({ length: GOP }, (_, i) => ({ data: Buffer.from([index * GOP + i]), keyframe: i === 0 }));
    return packGop(frames);
  }

  async readPcm(_segment: string, index: number): Promise<Buffer | undefined> {
    if (!this.#found(`pcm/${index}`)) return undefined;
    const count = Math.min(PCM_CHUNK_SAMPLES, manifest.pcmSamples - index * PCM_CHUNK_SAMPLES);
    return Buffer.from(Int16Array.from({ length: count }, (_, i) => (index * PCM_CHUNK_SAMPLES + i) % 30_000).buffer);
  }

  #found(part: string): boolean {
    if (this.failures > 0) {
      this.failures--;
      throw new Error('connection lost');
    }
    this.reads.push(part);
    return !this.missing.has(part);
  }
}

function renditionOf(codec: Codec) {
  const found = manifest.renditions.find((rendition) => rendition.codec === codec);
  if (!found) throw new Error(`no ${codec}`);
  return found;
}

function setUp({
  codecs = ['vp8'] as Codec[],
  maxBytes = 1e9,
  renditions = manifest.renditions,
  missingRenditions = undefined as SegmentManifest['missingRenditions'],
  demand = undefined as RenditionDemand | undefined,
  ladders = undefined as SegmentClipOptions['ladders'],
} = {}) {
  const store = new MemoryStore();
  const cache = new MediaCache(store as unknown as MediaStore, {
    maxBytes,
    packetizerOf: () => (data, keyframe) => ({ payloads: [data], keyframe, bytes: data.length }),
  });
  const lost: string[] = [];
  const watched = new Set(codecs);
  const open = () =>
    new SegmentClip(
      { ...manifest, renditions, missingRenditions },
      {
        cache,
        prefetchSamples: 2 * 48_000,
        codecs: watched,
        demand,
        ladders,
        onLost: (part) => lost.push(part),
      },
    );
  return { store, cache, lost, watched, open };
}

const SECOND = 48_000;

describe('SegmentClip', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('keeps the next seconds of both tracks in memory, and no more', async () => {
    const { store, open } = setUp();
    const clip = open();
    expect(clip.availability(0, 960)).toBe('late');
    clip.follow(0);
    await vi.waitFor(() => expect(clip.availability(0, 2 * SECOND)).toBe('ready'));
    expect(store.reads.sort()).toEqual(['pcm/0', 'pcm/1', 'v/0', 'v/1']);
    expect(clip.availability(2 * SECOND, 2 * SECOND + 960)).toBe('late');
    expect(clip.readySamples(0)).toBe(2 * SECOND);
  });

  it('reads only renditions in demand, and a new one at once', async () => {
    const vp8 = renditionOf('vp8');
    const renditions = [
      { ...vp8, id: 's', bitrateBps: 150_000 },
      { ...vp8, id: 'l', bitrateBps: 1_500_000 },
      { ...vp8, id: 'm', bitrateBps: 500_000 },
    ];
    const demand = new RenditionDemand();
    const viewer = {};
    demand.set(viewer, 'vp8', [1]);
    const { store, open } = setUp({ renditions, demand });
    const clip = open();
    expect(clip.rungs('vp8').map(({ id }) => id)).toEqual(['l', 'm', 's']);
    clip.follow(0);
    await vi.waitFor(() => expect(clip.availability(0, 2 * SECOND)).toBe('ready'));
    expect(store.reads.filter((part) => !part.startsWith('pcm')).sort()).toEqual(['m/0', 'm/1']);
    expect(clip.frame('vp8', 0, 1)).toBeDefined();
    expect(clip.frame('vp8', 0, 2)).toBeUndefined();
    demand.set(viewer, 'vp8', [1, 2]);
    clip.follow(0);
    await vi.waitFor(() => expect(clip.frame('vp8', 0, 2)).toBeDefined());
    // Another clip's ladder may be longer.
    expect(clip.frame('vp8', 0, 7)).toBe(clip.frame('vp8', 0, 2));
    expect(store.reads.some((part) => part.startsWith('l/'))).toBe(false);
  });

  it('takes over renditions that are stored while it plays, without changing the places of others', async () => {
    const vp8 = renditionOf('vp8');
    const small = { id: 's', codec: 'vp8', width: 2, height: 2, bitrateBps: 0.1, bytes: 1 } as const;
    const { bytes: _, ...missing } = small;
    let tell: (later: SegmentManifest) => void = () => {};
    const unwatch = vi.fn();
    const ladders = {
      watch: (segment: string, onManifest: typeof tell) => {
        expect(segment).toBe(manifest.id);
        tell = onManifest;
        return unwatch;
      },
    };
    const demand = new RenditionDemand();
    demand.set({}, 'vp8', [0, 1]);
    const { store, open } = setUp({ renditions: [vp8], missingRenditions: [missing], demand, ladders });
    const clip = open();
    clip.follow(0);
    await vi.waitFor(() => expect(clip.frame('vp8', 0)).toBeDefined());
    expect(clip.rungs('vp8').map(({ id }) => id)).toEqual(['v']);
    // A larger rendition would take the place of the one that is sent.
    tell({ ...manifest, renditions: [vp8, { ...vp8, id: 'l', bitrateBps: 2 }] });
    expect(clip.rungs('vp8').map(({ id }) => id)).toEqual(['v']);
    tell({ ...manifest, renditions: [vp8, small] });
    expect(clip.rungs('vp8').map(({ id }) => id)).toEqual(['v', 's']);
    expect(clip.availability(0, SECOND)).toBe('ready');
    clip.follow(0);
    await vi.waitFor(() => expect(clip.frame('vp8', 3, 1)?.payloads[0]?.[0]).toBe(3));
    expect(store.reads.filter((part) => part === 'v/0')).toHaveLength(1);
    clip.release();
    expect(unwatch).toHaveBeenCalledOnce();
  });

  it('releases what has been played, except the GOP before the one that is shown', async () => {
    const { open } = setUp();
    const clip = open();
    for (let at = 0; at <= 5 * SECOND; at += SECOND) {
      clip.follow(at);
      await vi.waitFor(() => expect(clip.availability(at, at + SECOND)).toBe('ready'));
    }
    clip.follow(5.5 * SECOND);
    expect(clip.frame('vp8', 55)?.payloads[0]?.[0]).toBe(55);
    expect(clip.frame('vp8', 45)).toBeDefined();
    expect(clip.frame('vp8', 35)).toBeUndefined();
  });

  it('reads PCM across chunks, and silence after its end', async () => {
    const { open } = setUp();
    const clip = open();
    clip.follow(8 * SECOND);
    await vi.waitFor(() => expect(clip.availability(8 * SECOND, 10 * SECOND)).toBe('ready'));
    const out = new Int16Array(1000).fill(7);
    clip.readPcm((9 * PCM_CHUNK_SAMPLES - 100) * CLOCK_PER_PCM, out, 0, 1000);
    const expected = Array.from({ length: 1000 }, (_, i) => (i < 600 ? (9 * PCM_CHUNK_SAMPLES - 100 + i) % 30_000 : 0));
    expect([...out]).toEqual(expected);
  });

  it('is gone where a part is missing, and reports that once', async () => {
    const { store, lost, open } = setUp();
    store.missing.add('v/1');
    const clip = open();
    clip.follow(0);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(clip.availability(SECOND, SECOND + 4800)).toBe('gone');
    clip.follow(0);
    expect(clip.availability(0, 4800)).toBe('ready');
    expect(lost).toEqual(['v/1']);
  });

  it('is late, not gone, while the store is unreachable', async () => {
    const { store, lost, open } = setUp();
    store.failures = 4;
    const clip = open();
    clip.follow(0);
    expect(clip.availability(0, 960)).toBe('late');
    await vi.waitFor(() => expect(clip.availability(0, 2 * SECOND)).toBe('ready'));
    expect(lost).toEqual([]);
  });

  it('fetches another codec when a viewer uses it', async () => {
    const { store, watched, open } = setUp();
    const clip = open();
    clip.follow(0);
    await vi.waitFor(() => expect(clip.availability(0, 960)).toBe('ready'));
    expect(store.reads.some((part) => part.startsWith('h/'))).toBe(false);
    watched.add('h264');
    clip.follow(0);
    await vi.waitFor(() => expect(clip.frame('h264', 3)?.payloads[0]?.[0]).toBe(3));
  });

  it('is ready without a rendition that is late or gone while another one is there', async () => {
    const { store, lost, watched, open } = setUp();
    store.missing.add('h/1');
    const clip = open();
    clip.follow(0);
    await vi.waitFor(() => expect(clip.availability(0, 2 * SECOND)).toBe('ready'));
    watched.add('h264');
    expect(clip.availability(0, 2 * SECOND)).toBe('ready');
    clip.follow(0);
    expect(clip.availability(0, 2 * SECOND)).toBe('ready');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(lost).toEqual(['h/1']);
    expect(clip.availability(0, 2 * SECOND)).toBe('ready');
    // A viewer of only that rendition waits if it may come, and not if it is lost.
    watched.delete('vp8');
    expect(clip.availability(0, SECOND - 4800)).toBe('ready');
    expect(clip.availability(SECOND, 2 * SECOND)).toBe('gone');
  });

  it('reads the smallest rendition, too, once a part of a larger one is lost', async () => {
    const vp8 = renditionOf('vp8');
    const small = { ...vp8, id: 's', bitrateBps: 0.1 };
    const { store, lost, open } = setUp({ renditions: [vp8, small] });
    store.missing.add('v/0');
    const clip = open();
    clip.follow(0);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(lost).toEqual(['v/0']);
    clip.follow(0);
    await vi.waitFor(() => expect(clip.availability(0, SECOND)).toBe('ready'));
    expect(clip.frame('vp8', 0, 1)?.payloads[0]?.[0]).toBe(0);
  });

  it('reads only the rendition of a codec that is sent', async () => {
    const { store, open } = setUp({ renditions: [...manifest.renditions, { ...renditionOf('vp8'), id: 'v2' }] });
    store.missing.add('v2/0');
    const clip = open();
    clip.follow(0);
    await vi.waitFor(() => expect(clip.availability(0, 2 * SECOND)).toBe('ready'));
    expect(store.reads.filter((part) => part.startsWith('v2'))).toEqual([]);
  });

  it('reads a part once for all sessions, and again after it was evicted', async () => {
    const { store, cache, open } = setUp({ maxBytes: 60_000 });
    const clips = [open(), open(), open()];
    for (const clip of clips) clip.follow(0);
    await vi.waitFor(() => expect(clips.every((clip) => clip.availability(0, SECOND) === 'ready')).toBe(true));
    expect(store.reads.filter((part) => part === 'v/0')).toHaveLength(1);
    expect(cache.bytes).toBeLessThanOrEqual(60_000);
    for (const clip of clips) clip.release();
    const late = open();
    late.follow(0);
    await vi.waitFor(() => expect(late.availability(0, SECOND)).toBe('ready'));
    expect(store.reads.filter((part) => part === 'pcm/0').length).toBeGreaterThan(1);
  });
});
