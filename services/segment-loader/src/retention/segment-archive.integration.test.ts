import { mkdtempSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
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
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RetentionMetrics } from './retention-metrics.js';
import { SegmentArchive } from './segment-archive.js';
import { writeSegmentFile } from './segment-file.js';

/** After a rollback, the archive holds copies that the later version wrote. */
describe('the archive with a copy of a later format', () => {
  const id = newId('seg');
  let directory: string;
  let archive: SegmentArchive;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), 'humancast-archive-'));
    const manifest = {
      version: 2,
      id,
      avatar: 'ann',
      frames: 0,
      gopFrames: 1,
      pcmSamples: 0,
      renditions: [],
    } as unknown as SegmentManifest;
    await writeSegmentFile(join(directory, `${id}.hcs`), { manifest, retention: { pinned: true } }, async () =>
      Buffer.alloc(0),
    );
    archive = new SegmentArchive({
      directory,
      // The store is neither read nor written.
      store: {} as MediaStore,
      clock: systemClock,
      metrics: new RetentionMetrics(createRegistry('test')),
      logger: createLogger('test', 'silent'),
    });
    await archive.open();
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('does not restore the copy, and leaves it for the version that wrote it', async () => {
    expect(await archive.restore(id)).toBe(false);
    expect(await archive.about(id)).toBeUndefined();
    expect(await readdir(directory)).toEqual([`${id}.hcs`]);
    expect(archive.list()).toMatchObject([{ id }]);
  });

  it("knows the copy's avatar, and removes it with that avatar", async () => {
    expect(await archive.ofAvatar('bob')).toEqual([]);
    expect(await archive.ofAvatar('ann')).toEqual([id]);
    await archive.forget([id]);
    expect(await readdir(directory)).toEqual([]);
    expect(await archive.ofAvatar('ann')).toEqual([]);
  });
});
