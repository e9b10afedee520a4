import { type FileHandle, open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import {
  gopCount,
  manifestSchema,
  parseRecord,
  pcmChunkCount,
  type Retention,
  reasonOf,
  type SegmentManifest,
} from '@humancast/shared';
import { z } from 'zod';
import { orDiskFull } from '../disk-full.js';

/**
 * File format of an archived segment, with everything that the media store has of it.
 *
 *     0  u8[4]  magic 'HCS1'
 *     4         records: the header as JSON, then each rendition's GOPs, then the PCM chunks, in order
 *
 * A record is u32 length, u32 CRC-32 of its bytes, the bytes; little-endian. The manifest in the header gives the number of
 * records, so a truncated file is detected.
 */
const MAGIC = Buffer.from('HCS1');
const RECORD_HEAD_BYTES = 8;
const MAX_HEADER_BYTES = 2 ** 20;
/** Larger than any GOP: ten seconds at 50 Mb/s. */
const MAX_PART_BYTES = 2 ** 26;

const headerSchema = z.object({
  manifest: manifestSchema,
  /** `null`: pinned. */
  ttlSeconds: z.int().min(1).nullable(),
});

const ownerSchema = z.object({ manifest: z.object({ avatar: z.string() }) });

export interface SegmentHeader {
  readonly manifest: SegmentManifest;
  readonly retention: Retention;
}

/** Name of a part in the media store. */
export type PartName =
  | { readonly kind: 'gop'; readonly rendition: string; readonly index: number }
  | { readonly kind: 'pcm'; readonly index: number };

/** @returns The names of all parts in a manifest, in file order. */
export function* partNames(manifest: SegmentManifest): Generator<PartName> {
  const gops = gopCount(manifest);
  for (const { id: rendition } of manifest.renditions) {
    for (let index = 0; index < gops; index++) yield { kind: 'gop', rendition, index };
  }
  const chunks = pcmChunkCount(manifest);
  for (let index = 0; index < chunks; index++) yield { kind: 'pcm', index };
}

/** The file is not a segment file, or is damaged or truncated. */
export class DamagedSegmentFile extends Error {}

/** The file is intact as far as it was read, but its format belongs to another version of humancast. */
export class UnknownSegmentFile extends Error {
  /** The avatar, if the header states it in the known place: the file must be deleted with its avatar. */
  readonly avatar: string | undefined;

  constructor(message: string, options: ErrorOptions & { avatar?: string | undefined } = {}) {
    super(message, options);
    this.avatar = options.avatar;
  }
}

/** Writes a new file and syncs it to disk. @throws HumancastError `disk_full`; an error if the file exists. */
export async function writeSegmentFile(
  path: string,
  { manifest, retention }: SegmentHeader,
  readPart: (name: PartName) => Promise<Buffer>,
): Promise<void> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'wx', 0o600);
    const header = { manifest, ttlSeconds: retention.pinned ? null : retention.ttlSeconds };
    await file.writeFile(MAGIC);
    await writeRecord(file, Buffer.from(JSON.stringify(header)));
    for (const name of partNames(manifest)) await writeRecord(file, await readPart(name));
    await file.sync();
  } catch (error) {
    throw orDiskFull(error, 'the segment');
  } finally {
    await file?.close();
  }
}

/** Reads a file's header, and passes its parts to `takePart` one by one. @throws DamagedSegmentFile, UnknownSegmentFile. */
export async function readSegmentFile(
  path: string,
  takePart?: (header: SegmentHeader, name: PartName, part: Buffer) => Promise<void>,
): Promise<SegmentHeader> {
  const file = await open(path, 'r');
  try {
    const magic = await readExactly(file, MAGIC.length);
    const name = magic.toString('latin1');
    if (!/^HCS\d$/.test(name)) throw new DamagedSegmentFile('not a segment file');
    if (!magic.equals(MAGIC)) throw new UnknownSegmentFile(`its format is ${name}, not HCS1`);
    const header = parseHeader(await readRecord(file, MAX_HEADER_BYTES));
    if (!takePart) return header;
    for (const name of partNames(header.manifest)) {
      await takePart(header, name, await readRecord(file, MAX_PART_BYTES));
    }
    return header;
  } finally {
    await file.close();
  }
}

function parseHeader(bytes: Buffer): SegmentHeader {
  try {
    const { manifest, ttlSeconds } = parseRecord(headerSchema, bytes.toString('utf8'));
    return { manifest, retention: ttlSeconds === null ? { pinned: true } : { pinned: false, ttlSeconds } };
  } catch (error) {
    // Its checksum matched, so it is not damaged.
    throw new UnknownSegmentFile(`its header has an unknown format: ${reasonOf(error)}`, {
      cause: error,
      avatar: claimedAvatar(bytes),
    });
  }
}

function claimedAvatar(header: Buffer): string | undefined {
  try {
    return ownerSchema.parse(JSON.parse(header.toString('utf8'))).manifest.avatar;
  } catch {
    return undefined;
  }
}

async function writeRecord(file: FileHandle, bytes: Buffer): Promise<void> {
  const head = Buffer.alloc(RECORD_HEAD_BYTES);
  head.writeUInt32LE(bytes.length, 0);
  head.writeUInt32LE(crc32(bytes), 4);
  await file.appendFile(head);
  await file.appendFile(bytes);
}

async function readRecord(file: FileHandle, limitBytes: number): Promise<Buffer> {
  const head = await readExactly(file, RECORD_HEAD_BYTES);
  const length = head.readUInt32LE(0);
  if (length > limitBytes) throw new DamagedSegmentFile(`a part of ${length} bytes`);
  const bytes = await readExactly(file, length);
  if (crc32(bytes) !== head.readUInt32LE(4)) throw new DamagedSegmentFile('a checksum does not match');
  return bytes;
}

async function readExactly(file: FileHandle, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; ) {
    const { bytesRead } = await file.read(bytes, at, length - at);
    if (bytesRead === 0) throw new DamagedSegmentFile('it ends early');
    at += bytesRead;
  }
  return bytes;
}
