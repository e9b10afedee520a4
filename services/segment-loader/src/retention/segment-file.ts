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
 * One segment as one file: everything that the media store has of it.
 *
 *     0  u8[4]  magic 'HCS1'
 *     4         records: the header as JSON, then each rendition's GOPs, then the PCM chunks, in order
 *
 * A record is u32 length, u32 CRC-32 of its bytes, the bytes. Little endian. How many there are is said by the manifest in the
 * header, so a file that ends early is noticed.
 */
const MAGIC = Buffer.from('HCS1');
const RECORD_HEAD_BYTES = 8;
const MAX_HEADER_BYTES = 2 ** 20;
/** More than any GOP: ten seconds at 50 Mb/s. */
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

/** A part's name in the media store. */
export type PartName =
  | { readonly kind: 'gop'; readonly rendition: string; readonly index: number }
  | { readonly kind: 'pcm'; readonly index: number };

/** Every part that a manifest names, in the order of the file. */
export function* partNames(manifest: SegmentManifest): Generator<PartName> {
  const gops = gopCount(manifest);
  for (const { id: rendition } of manifest.renditions) {
    for (let index = 0; index < gops; index++) yield { kind: 'gop', rendition, index };
  }
  const chunks = pcmChunkCount(manifest);
  for (let index = 0; index < chunks; index++) yield { kind: 'pcm', index };
}

/** The file is not a segment, or not a whole one. */
export class DamagedSegmentFile extends Error {}

/** The file is whole as far as it was read, and of a form that another version of humancast has written. */
export class UnknownSegmentFile extends Error {
  /** Whose it is, if its header says so in the known place: it must go with its avatar all the same. */
  readonly avatar: string | undefined;

  constructor(message: string, options: ErrorOptions & { avatar?: string | undefined } = {}) {
    super(message, options);
    this.avatar = options.avatar;
  }
}

/** Writes a file that must not exist yet, and has it on the disk when it resolves. @throws HumancastError `disk_full`. */
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

/** Reads a file's header, and hands its parts over one after the other. @throws DamagedSegmentFile, UnknownSegmentFile. */
export async function readSegmentFile(
  path: string,
  takePart?: (header: SegmentHeader, name: PartName, part: Buffer) => Promise<void>,
): Promise<SegmentHeader> {
  const file = await open(path, 'r');
  try {
    const magic = await readExactly(file, MAGIC.length);
    const name = magic.toString('latin1');
    if (!/^HCS\d$/.test(name)) throw new DamagedSegmentFile('not a segment file');
    if (!magic.equals(MAGIC)) throw new UnknownSegmentFile(`its form is ${name}`);
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
    // Its checksum matched, so it is what somebody wrote.
    throw new UnknownSegmentFile(`its header is of no known form: ${reasonOf(error)}`, {
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
