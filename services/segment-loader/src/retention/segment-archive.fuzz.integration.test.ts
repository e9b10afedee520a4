import { mkdtempSync, rmSync } from 'node:fs';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createLogger,
  createRegistry,
  type MediaStore,
  newId,
  type SegmentManifest,
  systemClock,
} from '@humancast/shared';
import { fuzz, fuzzTimeoutMs, makeManifest, mutate } from '@humancast/testkit';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RetentionMetrics } from './retention-metrics.js';
import { SegmentArchive } from './segment-archive.js';
import { writeSegmentFile } from './segment-file.js';

const BUDGET = { runs: 1500, seconds: 5 };

/** A media store in memory, into which an archive restores. */
class Restored {
  readonly parts = new Map<string, string>();
  manifest: SegmentManifest | undefined;
  readonly store = {
    writeGop: async (_: string, rendition: string, index: number, gop: Buffer) =>
      void this.parts.set(`${rendition}/${index}`, gop.toString('hex')),
    writePcm: async (_: string, index: number, pcm: Buffer) => void this.parts.set(`pcm/${index}`, pcm.toString('hex')),
    putManifest: async (manifest: SegmentManifest) => {
      this.manifest = manifest;
    },
    discardParts: async () => {},
    delete: async () => true,
  } as unknown as MediaStore;
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'humancast-archive-fuzz-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function archiveOf(store: MediaStore): SegmentArchive {
  const metrics = new RetentionMetrics(createRegistry('test'));
  return new SegmentArchive({
    directory: folder,
    store,
    clock: systemClock,
    metrics,
    logger: createLogger('test', 'silent'),
  });
}

async function write(id: string, seed: number): Promise<Buffer> {
  const manifest = makeManifest({ id, frames: 70, pcmSamples: 50_000, durationSamples: 112_000, markFrames: [30] });
  const path = join(folder, `${id}.written`);
  await writeSegmentFile(path, { manifest, retention: { pinned: true } }, async (name) =>
    Buffer.from(JSON.stringify([name, seed])),
  );
  const bytes = await readFile(path);
  await rm(path);
  return bytes;
}

async function restore(id: string): Promise<{ restored: Restored; isBack: boolean }> {
  const restored = new Restored();
  const archive = archiveOf(restored.store);
  await archive.open();
  return { restored, isBack: await archive.restore(id) };
}

it(
  'an archived segment damaged anywhere is set aside or restored unchanged',
  async () => {
    const id = 'seg_AAAAAAAAAAAAAAAA';
    const path = join(folder, `${id}.hcs`);
    const whole = await write(id, 1);
    await writeFile(path, whole);
    const { restored: right, isBack } = await restore(id);
    expect(isBack).toBe(true);
    const expected = [...right.parts];
    const outcomes = { back: 0, aside: 0 };
    const { runs } = await fuzz({ ...BUDGET, corpus: [whole] }, async (_, random) => {
      const damaged = mutate(whole, random);
      await writeFile(path, damaged);
      const { restored, isBack: back } = await restore(id);
      const names = await readdir(folder);
      if (back) {
        outcomes.back++;
        // Bytes after the last part are not checked; everything else must be unchanged.
        if (restored.manifest?.id !== id) throw new Error('another segment');
        if (JSON.stringify([...restored.parts]) !== JSON.stringify(expected)) throw new Error('other media');
        return;
      }
      if (restored.manifest) throw new Error('a damaged segment was published');
      // A file that seems to be of another format version is left to that version.
      const isOther = /^HCS[02-9]/.test(damaged.toString('latin1', 0, 4));
      if (names.includes(`${id}.hcs`) !== isOther) throw new Error('a damaged file was not set aside');
      outcomes.aside++;
    });
    expect(runs).toBeGreaterThan(0);
    expect(outcomes.aside).toBeGreaterThan(outcomes.back);
    await rm(path, { force: true });
  },
  fuzzTimeoutMs(BUDGET),
);

it('a file that holds another segment is set aside, and none of it is stored', async () => {
  const [id, other] = [newId('seg'), newId('seg')];
  await writeFile(join(folder, 'other'), await write(other, 2));
  await rename(join(folder, 'other'), join(folder, `${id}.hcs`));
  const { restored, isBack } = await restore(id);
  expect(isBack).toBe(false);
  expect(restored.parts.size).toBe(0);
  expect(restored.manifest).toBeUndefined();
  expect(await readdir(folder)).toContain(`${id}.hcs.damaged`);
});
