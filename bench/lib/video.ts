import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Vp8RtpPayload } from 'werift';
import type { RecordedPacket } from './recording.ts';

export interface Frame {
  readonly ticks: number;
  readonly data: Buffer;
  /** Arrival of its last packet, `performance.now()`. */
  readonly arrivedMs: number;
}

/** @returns the VP8 frames of ordered packets (RFC 7741 §4), without the last, which may be incomplete. */
export function framesOf(packets: readonly RecordedPacket[]): Frame[] {
  const frames: Frame[] = [];
  let parts: Buffer[] = [];
  for (const { payload, marker, ticks, arrivedMs } of packets) {
    const descriptor = Vp8RtpPayload.deSerialize(payload);
    if (descriptor.sBit === 1 && descriptor.pid === 0) parts = [];
    parts.push(descriptor.payload);
    if (marker) frames.push({ ticks, data: Buffer.concat(parts), arrivedMs });
  }
  return frames;
}

/**
 * @returns the mean brightness of each frame, 0 to 255, as ffmpeg decodes it. @throws Error if the number of frames differs.
 */
export async function brightnessOf(frames: readonly Frame[]): Promise<number[]> {
  const ffmpeg = spawn(
    'ffmpeg',
    [
      '-v',
      'error',
      '-f',
      'ivf',
      '-i',
      'pipe:0',
      '-fps_mode',
      'passthrough',
      '-vf',
      'scale=1:1:flags=area,format=gray',
      '-f',
      'rawvideo',
      'pipe:1',
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const ended = once(ffmpeg, 'exit');
  ffmpeg.stdin.end(ivf(frames));
  const chunks: Buffer[] = [];
  for await (const chunk of ffmpeg.stdout) chunks.push(chunk as Buffer);
  await ended;
  const brightness = [...Buffer.concat(chunks)];
  if (brightness.length !== frames.length) {
    throw new Error(`ffmpeg decoded ${brightness.length} of ${frames.length} frames`);
  }
  return brightness;
}

function ivf(frames: readonly Frame[]): Buffer {
  const header = Buffer.alloc(32);
  header.write('DKIF', 0);
  header.writeUInt16LE(32, 6);
  header.write('VP80', 8);
  // The keyframes contain the size.
  header.writeUInt16LE(16, 12);
  header.writeUInt16LE(16, 14);
  header.writeUInt32LE(30, 16);
  header.writeUInt32LE(1, 20);
  header.writeUInt32LE(frames.length, 24);
  const parts = frames.flatMap(({ data }, i) => {
    const frameHeader = Buffer.alloc(12);
    frameHeader.writeUInt32LE(data.length, 0);
    frameHeader.writeBigUInt64LE(BigInt(i), 4);
    return [frameHeader, data];
  });
  return Buffer.concat([header, ...parts]);
}
