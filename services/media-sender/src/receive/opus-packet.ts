/** Maximum duration of an Opus packet, 120 ms (RFC 6716 §3.2), in ticks of 48 kHz. */
export const MAX_OPUS_TICKS = 5760;
/** Maximum length of one frame, bytes (RFC 6716 §3.2.1). */
const MAX_FRAME_BYTES = 1275;

/** @returns The duration of an Opus packet in ticks of 48 kHz (RFC 6716 §3.1); `undefined` if it is malformed. */
export function opusTicks(packet: Buffer): number | undefined {
  const toc = packet[0];
  if (toc === undefined) return undefined;
  const count = frameCount(packet, toc & 3);
  if (count === undefined || packet.length > 2 + count * (2 + MAX_FRAME_BYTES)) return undefined;
  const ticks = count * frameTicks(toc >> 3);
  return ticks <= MAX_OPUS_TICKS ? ticks : undefined;
}

function frameCount(packet: Buffer, code: number): number | undefined {
  if (code === 0) return 1;
  if (code < 3) return 2;
  const count = (packet[1] ?? 0) & 0x3f;
  return count > 0 ? count : undefined;
}

function frameTicks(config: number): number {
  // SILK: 10, 20, 40 and 60 ms; hybrid: 10 and 20 ms; CELT: 2.5, 5, 10 and 20 ms.
  if (config < 12) return [480, 960, 1920, 2880][config & 3] ?? 0;
  if (config < 16) return config & 1 ? 960 : 480;
  return 120 << (config & 3);
}
