const RIFF_HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 8;

/** Wraps a VP8 keyframe as a lossy WebP image, which has the same bitstream (RFC 9649 §2.5). */
export function webpOf(keyframe: Buffer): Buffer {
  const header = Buffer.alloc(RIFF_HEADER_BYTES + CHUNK_HEADER_BYTES);
  // Chunks are padded to an even length, which their size does not include (RFC 9649 §2.3).
  const padding = Buffer.alloc(keyframe.length % 2);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(header.length - 8 + keyframe.length + padding.length, 4);
  header.write('WEBPVP8 ', 8, 'latin1');
  header.writeUInt32LE(keyframe.length, 16);
  return Buffer.concat([header, keyframe, padding]);
}
