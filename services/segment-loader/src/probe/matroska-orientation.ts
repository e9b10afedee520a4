import { type EbmlElement, ebmlChildren } from './ebml.js';
import type { FileBytes } from './file-bytes.js';
import type { Orientation } from './orientation.js';

const SEGMENT = 0x18538067;
const TRACKS = 0x1654ae6b;
const TRACK_ENTRY = 0xae;
const VIDEO = 0xe0;
const PROJECTION = 0x7670;
const PROJECTION_TYPE = 0x7671;
const POSE_YAW = 0x7673;
const POSE_ROLL = 0x7675;

/** Children examined per element: a segment has its tracks among the first, and none of the others is long. */
const MAX_CHILDREN = 100;

/** Orientation by the number of counterclockwise quarter turns, without and with a mirror before them. */
const TURNED: readonly Orientation[] = [1, 8, 3, 6];
const MIRRORED: readonly Orientation[] = [2, 5, 4, 7];

/**
 * Reads the projection of a Matroska or WebM track (RFC 9559 §5.1.4.1.28.41), with which FFmpeg from version 7 on stores
 * that video is turned, and which it reads only from then on. The roll is rounded to the nearest quarter turn.
 * @param index Index of the track in the file.
 * @returns 1 if the track states none, or is not flat.
 */
export async function matroskaOrientation(file: FileBytes, index: number): Promise<Orientation> {
  let position: EbmlElement | undefined = { id: 0, start: 0, end: file.size };
  for (const [id, nth] of [
    [SEGMENT, 0],
    [TRACKS, 0],
    [TRACK_ENTRY, index],
    [VIDEO, 0],
    [PROJECTION, 0],
  ] as const) {
    position = await child(file, position, id, nth);
    if (!position) return 1;
  }
  const [type, yaw, roll] = [
    await number(file, await child(file, position, PROJECTION_TYPE)),
    await number(file, await child(file, position, POSE_YAW)),
    await number(file, await child(file, position, POSE_ROLL)),
  ];
  if (type !== 0 || !Number.isFinite(roll)) return 1;
  const turns = ((Math.round(roll / 90) % 4) + 4) % 4;
  return (Math.abs(yaw) === 180 ? MIRRORED : TURNED)[turns] ?? 1;
}

async function child(file: FileBytes, of: EbmlElement, id: number, nth = 0): Promise<EbmlElement | undefined> {
  let seen = 0;
  for await (const element of ebmlChildren(file, of, MAX_CHILDREN)) {
    if (element.id === id && seen++ === nth) return element;
  }
  return undefined;
}

/** Reads a float of 4 or 8 bytes, or an unsigned integer of one byte; 0 if there is none. */
async function number(file: FileBytes, element: EbmlElement | undefined): Promise<number> {
  const length = element?.end === undefined ? 0 : element.end - element.start;
  const bytes = await file.at(element?.start ?? 0, 8);
  if (length === 1) return bytes.readUInt8(0);
  return length === 4 ? bytes.readFloatBE(0) : length === 8 ? bytes.readDoubleBE(0) : 0;
}
