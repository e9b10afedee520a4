import { crc32 } from 'node:zlib';

/** Filters that store an upright image as each EXIF orientation, from 1 on, expects it (EXIF 2.3 §4.6.4). */
export const STORED_AS: readonly string[] = [
  'null',
  'hflip',
  'hflip,vflip',
  'vflip',
  'transpose=cclock_flip',
  'transpose=cclock',
  'transpose=clock_flip',
  'transpose=clock',
];

/** @returns EXIF data with nothing but an orientation (tag 0x112). */
function exif(orientation: number, isLittle = false): Buffer {
  const tiff = Buffer.from('4d4d002a00000008000101120003000000010000000000000000', 'hex');
  tiff.writeUInt16BE(orientation, 18);
  if (!isLittle) return tiff;
  const little = Buffer.from('49492a0008000000010012010300010000000000000000000000', 'hex');
  little.writeUInt16LE(orientation, 18);
  return little;
}

/** Inserts an EXIF orientation into a JPEG. */
export function withOrientation(jpeg: Buffer, orientation: number): Buffer {
  const data = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), exif(orientation)]);
  const marker = Buffer.from([0xff, 0xe1, 0, 0]);
  marker.writeUInt16BE(data.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), marker, data, jpeg.subarray(2)]);
}

/** Inserts an `eXIf` chunk after the header of a PNG. @param data Content of the chunk. */
export function pngWithOrientation(png: Buffer, orientation: number, data = exif(orientation)): Buffer {
  const named = Buffer.concat([Buffer.from('eXIf', 'latin1'), data]);
  const frame = Buffer.alloc(4);
  frame.writeUInt32BE(named.length - 4);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(named));
  const headerEnd = 8 + 25;
  return Buffer.concat([png.subarray(0, headerEnd), frame, named, check, png.subarray(headerEnd)]);
}

/** Converts a simple WebP to the extended format with an `EXIF` chunk at its end. */
export function webpWithOrientation(webp: Buffer, orientation: number, size: readonly [number, number]): Buffer {
  const canvas = Buffer.alloc(10);
  canvas.writeUInt8(0x08, 0); // The EXIF flag.
  canvas.writeUIntLE(size[0] - 1, 4, 3);
  canvas.writeUIntLE(size[1] - 1, 7, 3);
  const chunks = Buffer.concat([riff('VP8X', canvas), webp.subarray(12), riff('EXIF', exif(orientation, true))]);
  return riff('RIFF', Buffer.concat([Buffer.from('WEBP', 'latin1'), chunks]));
}

function riff(type: string, data: Buffer): Buffer {
  const header = Buffer.from(`${type}\0\0\0\0`, 'latin1');
  header.writeUInt32LE(data.length, 4);
  return Buffer.concat([header, data, Buffer.alloc(data.length % 2)]);
}

/** Writes a matrix into an MP4's first track header (ISO/IEC 14496-12 §8.3.2), version 0. @param matrix A, b, c, d. */
export function withMatrix(bytes: Buffer, [a, b, c, d]: readonly [number, number, number, number]): Buffer {
  const at = bytes.indexOf('tkhd') + 4 + 40;
  [a, b, 0, c, d].forEach((value, i) => {
    bytes.writeInt32BE(value * 0x10000, at + 4 * i);
  });
  return bytes;
}

/**
 * Inserts a display-orientation SEI (ITU-T H.265 D.2.17) before each keyframe of an H.265 byte stream.
 * @param quarters Counterclockwise quarter turns, 0 to 3.
 */
export function hevcWithOrientation(stream: Buffer, quarters: number, isFlipped: boolean): Buffer {
  // Cancel flag, horizontal and vertical flip, 16 bits of angle, persistence flag, then a one and zeros.
  const bits = `0${isFlipped ? 1 : 0}0${(quarters * 0x4000).toString(2).padStart(16, '0')}11`.padEnd(24, '0');
  const payload = [0, 8, 16].map((at) => Number.parseInt(bits.slice(at, at + 8), 2));
  const raw = [0x4e, 0x01, 47, payload.length, ...payload, 0x80];
  // Emulation prevention: no three bytes in a row may look like a start code.
  const escaped = raw.flatMap((byte, i) =>
    i > 1 && raw[i - 1] === 0 && raw[i - 2] === 0 && byte <= 3 ? [3, byte] : [byte],
  );
  const sei = Buffer.from([0, 0, 0, 1, ...escaped]);
  const parts: Buffer[] = [];
  let from = 0;
  for (let at = stream.indexOf('\0\0\x01'); at >= 0; at = stream.indexOf('\0\0\x01', at + 3)) {
    const type = (stream.readUInt8(at + 3) >> 1) & 0x3f;
    // IDR and CRA NAL units.
    if (type < 19 || type > 21) continue;
    parts.push(stream.subarray(from, at), sei);
    from = at;
  }
  return Buffer.concat([...parts, stream.subarray(from)]);
}
