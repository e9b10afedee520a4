/**
 * One GOP as one binary value: the frames of a rendition from a keyframe up to the next one.
 *
 *     0  u8[2]  magic 'HG'
 *     2  u8     version, 1
 *     3  u8     reserved, 0
 *     4  u32    frame count n
 *     8  u32×n  size of each frame in bytes; bit 31 set on keyframes
 *     …         the frames, one after the other
 *
 * Little endian. One value a GOP takes half the CPU of one a frame, and a reader slices it without copying.
 */
const MAGIC = 0x4748; // 'HG', little endian
const VERSION = 1;
const HEADER_BYTES = 8;
const KEYFRAME_BIT = 0x8000_0000;
const MAX_FRAMES = 65_535;

export interface EncodedFrame {
  /** One complete frame: a VP8 frame, or an H.264 access unit in Annex B form. */
  readonly data: Buffer;
  readonly keyframe: boolean;
}

/** @throws RangeError if there are no or too many frames, or the first is no keyframe. */
export function packGop(frames: readonly EncodedFrame[]): Buffer {
  if (frames.length === 0 || frames.length > MAX_FRAMES) {
    throw new RangeError(`a GOP has 1 to ${MAX_FRAMES} frames, not ${frames.length}`);
  }
  if (!frames[0]?.keyframe) throw new RangeError('a GOP starts with a keyframe');
  const header = Buffer.alloc(HEADER_BYTES + 4 * frames.length);
  header.writeUInt16LE(MAGIC, 0);
  header.writeUInt8(VERSION, 2);
  header.writeUInt32LE(frames.length, 4);
  frames.forEach((frame, i) => {
    header.writeUInt32LE((frame.data.length | (frame.keyframe ? KEYFRAME_BIT : 0)) >>> 0, HEADER_BYTES + 4 * i);
  });
  return Buffer.concat([header, ...frames.map((frame) => frame.data)]);
}

/**
 * @returns The frames of a packed GOP, as views into `blob`.
 * @throws RangeError if the blob is not a complete GOP of a known version.
 */
export function unpackGop(blob: Buffer): EncodedFrame[] {
  if (blob.length < HEADER_BYTES || blob.readUInt16LE(0) !== MAGIC) throw new RangeError('not a packed GOP');
  if (blob.readUInt8(2) !== VERSION) throw new RangeError(`GOP version ${blob.readUInt8(2)}, expected ${VERSION}`);
  const count = blob.readUInt32LE(4);
  let offset = HEADER_BYTES + 4 * count;
  if (count === 0 || count > MAX_FRAMES || offset > blob.length) throw new RangeError('GOP header is damaged');
  const frames = new Array<EncodedFrame>(count);
  for (let i = 0; i < count; i++) {
    const word = blob.readUInt32LE(HEADER_BYTES + 4 * i);
    const size = word & ~KEYFRAME_BIT;
    const end = offset + size;
    if (end > blob.length) throw new RangeError(`GOP is cut short in frame ${i} of ${count}`);
    frames[i] = { data: blob.subarray(offset, end), keyframe: word >>> 31 === 1 };
    offset = end;
  }
  if (offset !== blob.length) throw new RangeError('GOP has bytes after its last frame');
  return frames;
}
