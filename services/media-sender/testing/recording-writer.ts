import { MAX_PACKET_BYTES, type PacketWriter } from '../src/rtp/packet-writer.js';
import type { SrtpSender } from '../src/rtp/srtp.js';

/** @returns A writer that calls `packet` with a copy of each packet that is sent. */
export function recordingWriter(packet: (packet: Buffer) => void): PacketWriter {
  const memory = Buffer.alloc(MAX_PACKET_BYTES);
  return {
    memory,
    begin: () => 0,
    send: (bytes) => packet(Buffer.from(memory.subarray(0, bytes))),
    flush: () => {},
  };
}

/** @returns a compound RTCP packet as SRTCP. */
export function protectRtcp(srtp: SrtpSender, packet: Buffer): Buffer {
  const memory = Buffer.alloc(packet.length + 64);
  return memory.subarray(0, srtp.protectRtcp(memory, 0, packet));
}
