import type { FileBytes } from './file-bytes.js';
import type { Orientation } from './orientation.js';

/** Maximum number of chunks: a camera's PNG has a few dozen, a screen recorder's may have some thousand. */
const MAX_CHUNKS = 20_000;
/** Maximum bytes of EXIF data read; the orientation is among the first entries. */
const MAX_EXIF_BYTES = 65_536;
const MAX_ENTRIES = 1000;
const ORIENTATION_TAG = 0x112;
const SHORT = 3;

/**
 * Reads the EXIF orientation of a PNG (`eXIf`, PNG 3rd edition §11.3.3.1) or a WebP (chunk `EXIF`), which FFmpeg applies
 * only from version 8 on. All versions apply a JPEG's.
 * @param container FFmpeg's name of the demuxer.
 * @returns 1 if the file states no known orientation.
 */
export async function stillOrientation(file: FileBytes, container: string): Promise<Orientation> {
  if (/^(png_pipe|apng)/.test(container)) return orientationIn(await pngChunk(file, 'eXIf'));
  if (container.startsWith('webp_pipe')) return orientationIn(await riffChunk(file, 'EXIF'));
  return 1;
}

/** Finds a PNG chunk. Chunks follow a signature of 8 bytes: length, type, data, CRC. */
async function pngChunk(file: FileBytes, wanted: string): Promise<Buffer | undefined> {
  let position = 8;
  for (let i = 0; i < MAX_CHUNKS && position < file.size; i++) {
    const header = await file.at(position, 8);
    const length = header.readUInt32BE(0);
    const type = header.toString('latin1', 4, 8);
    if (type === wanted) return file.read(position + 8, Math.min(length, MAX_EXIF_BYTES));
    position += 12 + length;
  }
  return undefined;
}

/** Finds a RIFF chunk. Chunks follow `RIFF`, a length, and the file type: type, length, data padded to an even length. */
async function riffChunk(file: FileBytes, wanted: string): Promise<Buffer | undefined> {
  let position = 12;
  for (let i = 0; i < MAX_CHUNKS && position < file.size; i++) {
    const header = await file.at(position, 8);
    const length = header.readUInt32LE(4);
    const type = header.toString('latin1', 0, 4);
    if (type === wanted) return file.read(position + 8, Math.min(length, MAX_EXIF_BYTES));
    position += 8 + length + (length % 2);
  }
  return undefined;
}

/** Reads the first directory of EXIF data (TIFF 6.0 §2); some programs prepend JPEG's `Exif` identifier. */
function orientationIn(data: Buffer | undefined): Orientation {
  if (!data) return 1;
  const tiff = data.toString('latin1', 0, 6) === 'Exif\0\0' ? data.subarray(6) : data;
  const order = tiff.toString('latin1', 0, 4);
  const isLittle = order === 'II*\0';
  if (!isLittle && order !== 'MM\0*') return 1;
  const short = (at: number) => (at + 2 > tiff.length ? 0 : isLittle ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
  if (tiff.length < 8) return 1;
  const directory = isLittle ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4);
  const entries = Math.min(short(directory), MAX_ENTRIES);
  for (let i = 0; i < entries; i++) {
    const entry = directory + 2 + 12 * i;
    if (short(entry) === ORIENTATION_TAG && short(entry + 2) === SHORT) return asOrientation(short(entry + 8));
  }
  return 1;
}

function asOrientation(value: number): Orientation {
  return value >= 1 && value <= 8 ? (value as Orientation) : 1;
}
