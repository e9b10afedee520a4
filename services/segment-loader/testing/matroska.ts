/** Master elements on the path to a track's video (RFC 9559). */
const MASTERS = new Set([0x18538067, 0x1654ae6b, 0xae, 0xe0]);
const VIDEO = 0xe0;

/**
 * Adds a projection to the video tracks of a Matroska file without an index (`-live 1`), in which positions do not matter.
 * @param roll Counterclockwise, degrees. @param yaw 180 mirrors.
 */
export function withProjection(bytes: Buffer, roll: number, yaw = 0): Buffer {
  const float = (id: number, value: number) => {
    const content = Buffer.alloc(4);
    content.writeFloatBE(value);
    return element(id, content);
  };
  const projection = element(0x7670, Buffer.concat([float(0x7673, yaw), float(0x7675, roll)]));
  return rewrite(bytes, projection);
}

function rewrite(bytes: Buffer, added: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const idLength = Math.clz32(bytes.readUInt8(at)) - 23;
    const id = bytes.readUIntBE(at, idLength);
    const sizeLength = Math.clz32(bytes.readUInt8(at + idLength)) - 23;
    const start = at + idLength + sizeLength;
    const size = bytes.subarray(at + idLength, start);
    const isOpen =
      (size.readUInt8(0) | (0xff << (8 - sizeLength))) === -1 && size.subarray(1).every((byte) => byte === 255);
    const stated = BigInt(`0x${size.toString('hex')}`) & ((1n << BigInt(7 * sizeLength)) - 1n);
    const end = isOpen ? bytes.length : start + Number(stated);
    const content = bytes.subarray(start, end);
    if (!MASTERS.has(id)) parts.push(bytes.subarray(at, end));
    else if (isOpen) parts.push(bytes.subarray(at, start), rewrite(content, added));
    else parts.push(element(id, Buffer.concat([rewrite(content, added), id === VIDEO ? added : Buffer.alloc(0)])));
    at = end;
  }
  return Buffer.concat(parts);
}

function element(id: number, content: Buffer): Buffer {
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE((1n << 56n) | BigInt(content.length));
  return Buffer.concat([Buffer.from(id.toString(16), 'hex'), size, content]);
}
