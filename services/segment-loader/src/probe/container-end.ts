import { ebmlElement } from './ebml.js';
import type { FileBytes } from './file-bytes.js';

/** End of a container according to its structure, whatever duration its header states. */
export interface ContainerEnd {
  /** Whether the file is complete; `undefined` if the structure does not tell. */
  readonly isWhole: boolean | undefined;
  /** Position of a second file that would be ignored, bytes. */
  readonly joinedAt: number | undefined;
}

const UNKNOWN: ContainerEnd = { isWhole: undefined, joinedAt: undefined };
/** More boxes than a fragmented recording of a day has. */
const MAX_BOXES = 200_000;
/** Minimum of the placeholder sizes that programs writing to a pipe put into a RIFF header; files of this size are RF64. */
const MIN_PLACEHOLDER = 0x7ff0_0000;
const FLV_TAG_HEADER = 11;
/** More tags than a day of audio and video has. */
const MAX_FLV_TAGS = 10_000_000;
/** Share of the samples that may be missing, as for any track. */
const MISSING_SHARE = 0.01;

/** Reads the structure of a file: headers of boxes and chunks, never their content. */
export async function containerEnd(file: FileBytes, container: string): Promise<ContainerEnd> {
  if (/^(wav|avi)/.test(container)) return riffEnd(file);
  if (container.startsWith('matroska')) {
    return { ...(await matroskaEnd(file)), joinedAt: await secondStart(file, 'matroska') };
  }
  if (container.startsWith('mov')) return movieEnd(file);
  if (container.startsWith('flv')) return flvEnd(file);
  return { isWhole: undefined, joinedAt: await secondStart(file, container) };
}

/** Start of a file by container: bytes, and a pattern that must follow shortly. */
const STARTS: Readonly<Record<string, { readonly bytes: Buffer; readonly pattern: RegExp }>> = {
  matroska: { bytes: Buffer.from('1a45dfa3', 'hex'), pattern: /webm|matroska/ },
  // The pack of a header partition (SMPTE ST 377-1 §7.1); those of bodies and footers have another kind.
  mxf: { bytes: Buffer.from('060e2b34020501010d0102010102', 'hex'), pattern: /^/ },
  gif: { bytes: Buffer.from('GIF8'), pattern: /^GIF8[79]a/ },
  asf: { bytes: Buffer.from('3026b2758e66cf11a6d900aa0062ce6c', 'hex'), pattern: /^/ },
  aiff: { bytes: Buffer.from('FORM'), pattern: /^FORM.{4}AIF[FC]/s },
  caf: { bytes: Buffer.from('caff\0\x01\0\0desc', 'latin1'), pattern: /^/ },
  ivf: { bytes: Buffer.from('DKIF\0\0\x20\0', 'latin1'), pattern: /^/ },
  flac: { bytes: Buffer.from('fLaC\0\0\0\x22', 'latin1'), pattern: /^/ },
};
const PATTERN_BYTES = 64;
const SEARCH_BYTES = 1024 * 1024;

/**
 * Searches for a second start in containers that have no structure, or one with an open end, and of which only the first
 * file is read.
 */
async function secondStart(file: FileBytes, container: string): Promise<number | undefined> {
  const start = STARTS[container];
  if (!start) return undefined;
  for (let from = 1; from < file.size; from += SEARCH_BYTES) {
    const window = await file.read(from, SEARCH_BYTES + PATTERN_BYTES);
    for (let at = window.indexOf(start.bytes); at >= 0 && at < SEARCH_BYTES; at = window.indexOf(start.bytes, at + 1)) {
      if (start.pattern.test(window.toString('latin1', at, at + PATTERN_BYTES))) return from + at;
    }
  }
  return undefined;
}

/** @returns Whether an ISO base media file ends within a box, so that its index is missing or incomplete. */
export async function isCutMovie(file: FileBytes): Promise<boolean> {
  const type = (await file.at(4, 4)).toString('latin1');
  return /^(ftyp|moov|mdat|wide|free|skip)$/.test(type) && (await movieEnd(file)).isWhole === false;
}

/** @returns Whether a WebP has the animation flag of its extended header. */
export async function isAnimatedWebp(file: FileBytes): Promise<boolean> {
  const header = await file.at(0, 21);
  return header.toString('latin1', 8, 16) === 'WEBPVP8X' && (header.readUInt8(20) & 2) !== 0;
}

/**
 * Detects a kind of still image that is not accepted: an ISO base media file without a movie (ISO/IEC 23008-12), or TIFF
 * 6.0.
 * @returns The name of the kind; `undefined` for any other file.
 */
export async function unsupportedStill(file: FileBytes): Promise<string | undefined> {
  const start = await file.at(0, 12);
  const brand = /^ftyp(heic|heix|heim|heis|mif1|msf1|avif|avis)$/.exec(start.toString('latin1', 4, 12))?.[1];
  if (brand !== undefined) return brand.startsWith('avi') ? 'AVIF' : brand.startsWith('m') ? 'HEIF' : 'HEIC';
  return /^(II\*\0|MM\0\*|II\+\0|MM\0\+)/.test(start.toString('latin1', 0, 4)) ? 'TIFF' : undefined;
}

/** Reads Microsoft's RIFF of WAV and AVI: chunks, each with its length. */
async function riffEnd(file: FileBytes): Promise<ContainerEnd> {
  const header = await file.at(0, 12);
  if (header.toString('latin1', 0, 4) !== 'RIFF') return UNKNOWN;
  const type = header.toString('latin1', 8, 12);
  const data = type === 'WAVE' ? await dataChunkEnd(file) : padded(8 + header.readUInt32LE(4));
  if (data === undefined) return { isWhole: true, joinedAt: undefined };
  const next = await file.at(data, 12);
  const isJoined = next.toString('latin1', 0, 4) === 'RIFF' && next.toString('latin1', 8, 12) === type;
  return { isWhole: file.size >= data * (1 - MISSING_SHARE) - 1, joinedAt: isJoined ? data : undefined };
}

/** @returns The end of a WAV's samples; `undefined` if it was unknown when the header was written. */
async function dataChunkEnd(file: FileBytes): Promise<number | undefined> {
  let position = 12;
  for (let i = 0; i < MAX_BOXES && position < file.size; i++) {
    const chunk = await file.at(position, 8);
    const length = chunk.readUInt32LE(4);
    const isData = chunk.toString('latin1', 0, 4) === 'data';
    if (isData && (length === 0 || length >= MIN_PLACEHOLDER)) return undefined;
    position = padded(position + 8 + length);
    if (isData) return position;
  }
  return position;
}

function padded(length: number): number {
  return length + (length % 2);
}

const MATROSKA_SEGMENT = 0x18538067;

/** Reads Matroska (RFC 9559): a header, and a segment that may state its size. */
async function matroskaEnd(file: FileBytes): Promise<ContainerEnd> {
  const header = await ebmlElement(file, 0);
  const segment = header?.end === undefined ? undefined : await ebmlElement(file, header.end);
  if (segment?.id !== MATROSKA_SEGMENT || segment.end === undefined) return UNKNOWN;
  return { isWhole: file.size >= segment.end, joinedAt: undefined };
}

/** Reads ISO/IEC 14496-12 §4.2: boxes, each with its length. A second `moov` belongs to another file. */
async function movieEnd(file: FileBytes): Promise<ContainerEnd> {
  let [position, movies, lastFile] = [0, 0, 0];
  for (let i = 0; i < MAX_BOXES && position < file.size; i++) {
    const header = await file.at(position, 16);
    const type = header.toString('latin1', 4, 8);
    const short = header.readUInt32BE(0);
    const size = short === 1 ? Number(header.readBigUInt64BE(8)) : short === 0 ? file.size - position : short;
    if (size < 8) return UNKNOWN;
    if (type === 'ftyp') lastFile = position;
    if (type === 'moov' && ++movies > 1) return { isWhole: undefined, joinedAt: lastFile || position };
    position += size;
  }
  return { isWhole: position <= file.size, joinedAt: undefined };
}

/** Reads Adobe's FLV 10.1, annex E: each tag is followed by its own length. */
async function flvEnd(file: FileBytes): Promise<ContainerEnd> {
  let position = (await file.at(0, 9)).readUInt32BE(5) + 4;
  for (let i = 0; i < MAX_FLV_TAGS && position < file.size; i++) {
    const tag = await file.at(position, FLV_TAG_HEADER);
    if (tag.toString('latin1', 0, 3) === 'FLV') return { isWhole: undefined, joinedAt: position };
    if (![8, 9, 18].includes(tag.readUInt8(0) & 0x1f)) return UNKNOWN;
    position += FLV_TAG_HEADER + tag.readUIntBE(1, 3) + 4;
  }
  // The length after the last tag is often missing.
  return { isWhole: position <= file.size + 4, joinedAt: undefined };
}
