import type { FileBytes } from './file-bytes.js';

export interface EbmlElement {
  readonly id: number;
  /** Position of the content, bytes. */
  readonly start: number;
  /** End of the content; `undefined` if the size is unknown. */
  readonly end: number | undefined;
}

/** Reads the header of an EBML element (RFC 8794 §4 to §6). @returns `undefined` if there is none. */
export async function ebmlElement(file: FileBytes, position: number): Promise<EbmlElement | undefined> {
  const header = await file.at(position, 4);
  const idLength = Math.clz32(header.readUInt8(0)) - 23;
  if (idLength > 4) return undefined;
  const { end: start, size } = await ebmlSize(file, position + idLength);
  return { id: header.readUIntBE(0, idLength), start, end: size === undefined ? undefined : start + size };
}

/** Finds a child of an element among the first `limit` ones. */
export async function* ebmlChildren(
  file: FileBytes,
  { start, end = file.size }: Pick<EbmlElement, 'start' | 'end'>,
  limit: number,
): AsyncGenerator<EbmlElement> {
  let position = start;
  for (let i = 0; i < limit && position < Math.min(end, file.size); i++) {
    const element = await ebmlElement(file, position);
    if (!element) return;
    yield element;
    if (element.end === undefined) return;
    position = element.end;
  }
}

/** Reads a size: the first byte gives the number of bytes; all ones mean an unknown size. */
async function ebmlSize(file: FileBytes, position: number): Promise<{ end: number; size: number | undefined }> {
  const bytes = await file.at(position, 8);
  const length = Math.clz32(bytes.readUInt8(0)) - 23;
  if (length > 8) return { end: position, size: undefined };
  // The first byte's highest bit marks the length; the other bits fit a double up to 2^53.
  bytes.writeUInt8(bytes.readUInt8(0) & (0xff >> length), 0);
  const high = bytes.readUIntBE(0, Math.min(length, 6));
  const size = length > 6 ? high * 2 ** (8 * (length - 6)) + bytes.readUIntBE(6, length - 6) : high;
  return { end: position + length, size: size >= 2 ** (7 * length) - 1 ? undefined : size };
}
