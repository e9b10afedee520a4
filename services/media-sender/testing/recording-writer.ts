import { MAX_PACKET_BYTES, type PacketWriter } from '../src/rtp/packet-writer.js';

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
