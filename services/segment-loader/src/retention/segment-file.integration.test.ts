import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SegmentManifest } from '@humancast/shared';
import { makeManifest } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  DamagedSegmentFile,
  type PartName,
  partNames,
  readSegmentFile,
  UnknownSegmentFile,
  writeSegmentFile,
} from './segment-file.js';

const manifest = makeManifest({
  frames: 70,
  pcmSamples: 50_000,
  durationSamples: 112_000,
  renditions: [
    { id: 'small', codec: 'vp8', width: 64, height: 64, bitrateBps: 1000, bytes: 60 },
    { id: 'large', codec: 'h264', width: 128, height: 128, bitrateBps: 2000, bytes: 60 },
  ],
  markFrames: [30],
});
const retention = { pinned: false, ttlSeconds: 100 } as const;
const partOf = (name: PartName) => Buffer.from(`${JSON.stringify(name)}\0\xff`, 'latin1');

describe('a segment file', () => {
  let folder: string;
  let path: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-segment-file-'));
    path = join(folder, 'whole');
    await writeSegmentFile(path, { manifest, retention }, async (name) => partOf(name));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('returns what was written, in order: three GOPs per rendition, three PCM chunks', async () => {
    const parts: [PartName, Buffer][] = [];
    const header = await readSegmentFile(path, async (_, name, part) => {
      parts.push([name, part]);
    });
    expect(header).toEqual({ manifest, retention });
    expect(parts.map(([name]) => name)).toEqual([...partNames(manifest)]);
    expect(parts).toHaveLength(9);
    for (const [name, part] of parts) expect(part).toEqual(partOf(name));
  });

  it('is readable only by its owner', async () => {
    expect((await stat(path)).mode & 0o077).toBe(0);
  });

  it('is detected as damaged if it is truncated anywhere', async () => {
    const bytes = await readFile(path);
    const cut = join(folder, 'cut');
    for (let length = 0; length < bytes.length; length += 7) {
      await writeFile(cut, bytes.subarray(0, length));
      await expect(
        readSegmentFile(cut, async () => {}),
        `${length} bytes`,
      ).rejects.toThrow(DamagedSegmentFile);
    }
  });

  it('is detected as damaged if any bit is wrong', async () => {
    const bytes = await readFile(path);
    const wrong = join(folder, 'wrong');
    for (let at = 0; at < bytes.length; at += 11) {
      const altered = Buffer.from(bytes);
      altered[at] = (altered[at] ?? 0) ^ 0x10;
      await writeFile(wrong, altered);
      await expect(
        readSegmentFile(wrong, async () => {}),
        `byte ${at}`,
      ).rejects.toThrow(DamagedSegmentFile);
    }
  });

  it('of a later version is not reported as damaged', async () => {
    const later = join(folder, 'later');
    const next = { ...manifest, version: 2 } as unknown as SegmentManifest;
    await writeSegmentFile(later, { manifest: next, retention }, async (name) => partOf(name));
    await expect(readSegmentFile(later)).rejects.toThrow(UnknownSegmentFile);
    await writeFile(later, Buffer.concat([Buffer.from('HCS2'), (await readFile(path)).subarray(4)]));
    await expect(readSegmentFile(later)).rejects.toThrow(UnknownSegmentFile);
  });

  it('of a later version with unknown members is read', async () => {
    const later = join(folder, 'more');
    const next = { ...manifest, loudness: -23 };
    await writeSegmentFile(later, { manifest: next, retention }, async (name) => partOf(name));
    expect(await readSegmentFile(later)).toEqual({ manifest, retention });
  });

  it('never overwrites another file', async () => {
    await expect(writeSegmentFile(path, { manifest, retention }, async (name) => partOf(name))).rejects.toThrow(
      'EEXIST',
    );
  });
});
