/** RTCP packet types (RFC 3550 §12.1, RFC 4585 §6.1). */
const PT = {
  senderReport: 200,
  receiverReport: 201,
  sourceDescription: 202,
  bye: 203,
  transport: 205,
  payload: 206,
} as const;
/** Feedback message types (RFC 4585 §6.2.1, §6.3.1). */
const FMT_GENERIC_NACK = 1;
const FMT_PICTURE_LOSS = 1;
/** RFC 5104 §4.3.1. */
const FMT_FULL_INTRA_REQUEST = 4;
/** draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1, draft-alvestrand-rmcat-remb-03 §2.2. */
const FMT_TRANSPORT_FEEDBACK = 15;
const FMT_APPLICATION = 15;
const REMB_IDENTIFIER = 0x52454d42;
const SDES_CNAME = 1;
const VERSION_BITS = 0x80;
const COUNT_MASK = 0x1f;
/** Packets after the first that an entry of a NACK can name. */
const NACK_MASK_BITS = 16;

export interface SenderReport {
  ssrc: number;
  cname: string;
  /** 64-bit NTP timestamp: seconds since 1900 and fraction, 32.32. */
  ntp: bigint;
  /** The same instant on the stream's RTP clock, including the stream's offset. */
  rtpTimestamp: number;
  packets: number;
  octets: number;
}

/** The content of a report block (RFC 3550 §6.4.1). */
export interface ReceptionReport {
  readonly ssrc: number;
  /** Loss since the previous report, in 1/256: 0 to 255. */
  readonly fractionLost: number;
  readonly packetsLost: number;
  /** Extended highest sequence number received. */
  readonly highestSequence: number;
  readonly jitterTicks: number;
  /** Middle 32 bits of the NTP timestamp of the last sender report; 0: none yet. */
  readonly lastReport: number;
  /** 1/65536 s since that report's arrival. */
  readonly delaySinceLastReport: number;
}

/**
 * @param reception What the viewer's own stream is received like, if there is one.
 * @returns A compound of sender report and source description (RFC 3550 §6.4.1, §6.5).
 */
export function senderReport(report: SenderReport, reception?: ReceptionReport): Buffer {
  const sr = Buffer.alloc(28 + (reception ? BLOCK_BYTES : 0));
  writeHeader(sr, reception ? 1 : 0, PT.senderReport);
  sr.writeUInt32BE(report.ssrc, 4);
  sr.writeBigUInt64BE(BigInt.asUintN(64, report.ntp), 8);
  sr.writeUInt32BE(report.rtpTimestamp >>> 0, 16);
  sr.writeUInt32BE(report.packets >>> 0, 20);
  sr.writeUInt32BE(report.octets >>> 0, 24);
  if (reception) writeBlock(sr, 28, reception);
  return Buffer.concat([sr, sourceDescription(report.ssrc, report.cname)]);
}

/**
 * @returns A BYE for the streams (RFC 3550 §6.6). A compound must begin with a report (§6.1), so an empty one precedes it.
 */
export function goodbye(ssrcs: readonly number[], cname: string): Buffer {
  const [first = 0] = ssrcs;
  const bye = Buffer.alloc(4 + 4 * ssrcs.length);
  writeHeader(bye, ssrcs.length, PT.bye);
  ssrcs.forEach((ssrc, i) => {
    bye.writeUInt32BE(ssrc, 4 + 4 * i);
  });
  return Buffer.concat([emptyReport(first, cname), bye]);
}

/**
 * @param ssrc Of one of our streams.
 * @param of SSRC of the viewer's stream.
 * @param sequences In order, not empty.
 * @returns A compound that asks for packets again (RFC 4585 §6.2.1).
 */
export function genericNack(ssrc: number, cname: string, of: number, sequences: readonly number[]): Buffer {
  const pairs: { first: number; mask: number }[] = [];
  for (const sequence of sequences) {
    const last = pairs.at(-1);
    const distance = last ? (sequence - last.first - 1) & 0xffff : NACK_MASK_BITS;
    if (last && distance < NACK_MASK_BITS) last.mask |= 1 << distance;
    else pairs.push({ first: sequence, mask: 0 });
  }
  const nack = Buffer.alloc(12 + 4 * pairs.length);
  writeHeader(nack, FMT_GENERIC_NACK, PT.transport);
  nack.writeUInt32BE(ssrc, 4);
  nack.writeUInt32BE(of, 8);
  pairs.forEach(({ first, mask }, i) => {
    nack.writeUInt16BE(first, 12 + 4 * i);
    nack.writeUInt16BE(mask, 14 + 4 * i);
  });
  return Buffer.concat([emptyReport(ssrc, cname), nack]);
}

/** @returns What a compound without statistics begins with (RFC 3550 §6.1). */
function emptyReport(ssrc: number, cname: string): Buffer {
  const report = Buffer.alloc(8);
  writeHeader(report, 0, PT.receiverReport);
  report.writeUInt32BE(ssrc, 4);
  return Buffer.concat([report, sourceDescription(ssrc, cname)]);
}

function writeBlock(packet: Buffer, at: number, reception: ReceptionReport): void {
  packet.writeUInt32BE(reception.ssrc, at);
  packet.writeUInt8(reception.fractionLost, at + 4);
  packet.writeIntBE(reception.packetsLost, at + 5, 3);
  packet.writeUInt32BE(reception.highestSequence >>> 0, at + 8);
  packet.writeUInt32BE(reception.jitterTicks >>> 0, at + 12);
  packet.writeUInt32BE(reception.lastReport, at + 16);
  packet.writeUInt32BE(reception.delaySinceLastReport >>> 0, at + 20);
}

function sourceDescription(ssrc: number, cname: string): Buffer {
  const text = Buffer.from(cname, 'utf8');
  // The items end with at least one zero, filled up to a 32-bit boundary.
  const bytes = Math.ceil((4 + 4 + 2 + text.length + 1) / 4) * 4;
  const sdes = Buffer.alloc(bytes);
  writeHeader(sdes, 1, PT.sourceDescription);
  sdes.writeUInt32BE(ssrc, 4);
  sdes.writeUInt8(SDES_CNAME, 8);
  sdes.writeUInt8(text.length, 9);
  text.copy(sdes, 10);
  return sdes;
}

function writeHeader(packet: Buffer, count: number, type: number): void {
  packet.writeUInt8(VERSION_BITS | count, 0);
  packet.writeUInt8(type, 1);
  packet.writeUInt16BE(packet.length / 4 - 1, 2);
}

/** One block of a receiver report (RFC 3550 §6.4.1). */
export interface ReportBlock {
  ssrc: number;
  /** Loss since the previous report, 0 to 1. */
  fractionLost: number;
  packetsLost: number;
  jitterTicks: number;
  /** Middle 32 bits of the NTP timestamp of the last sender report; 0: none yet. */
  lastReport: number;
  /** 1/65536 s between that report's arrival and this one's departure. */
  delaySinceLastReport: number;
}

/** Receives the content of a viewer's RTCP. */
export interface RtcpListener {
  /** @param reporter The reporter's SSRC. */
  report(block: ReportBlock, reporter: number): void;
  /** @param middle Middle 32 bits of the NTP timestamp of the viewer's sender report. */
  senderReport(ssrc: number, middle: number): void;
  /** Packets were requested again by NACK (RFC 4585 §6.2.1), at most {@link MAX_NACKED} per compound. */
  nack(ssrc: number, sequences: readonly number[]): void;
  /** A keyframe was requested by PLI or FIR. */
  pictureLoss(ssrc: number): void;
  /** @param packet The whole RTCP packet, of which only the header has been read. */
  transportFeedback(packet: Buffer): void;
  /** @param bps The receiver's estimate of the path, bits a second. */
  receiverEstimate(bps: number): void;
  bye(ssrcs: readonly number[]): void;
}

/** Maximum number of packets of a compound that are read; browsers send a handful. */
const MAX_PACKETS = 32;
/** Maximum number of lost packets of a compound that are reported; no more are remembered for retransmission. */
export const MAX_NACKED = 1024;

/** Reads a compound packet in time linear in its length. Unknown and damaged parts are skipped. */
export function readRtcp(compound: Buffer, listener: RtcpListener): void {
  let room = MAX_NACKED;
  for (let at = 0, i = 0; at + 4 <= compound.length && i < MAX_PACKETS; i++) {
    const end = at + 4 * (compound.readUInt16BE(at + 2) + 1);
    if (compound.readUInt8(at) >> 6 !== 2 || end > compound.length) return;
    room -= readPacket(compound.subarray(at, end), listener, room);
    at = end;
  }
}

/** @returns The number of lost packets in it. */
function readPacket(packet: Buffer, listener: RtcpListener, room: number): number {
  const count = packet.readUInt8(0) & COUNT_MASK;
  switch (packet.readUInt8(1)) {
    case PT.senderReport:
      if (packet.length >= 16) listener.senderReport(packet.readUInt32BE(4), packet.readUInt32BE(10));
      readBlocks(packet, 28, count, listener);
      break;
    case PT.receiverReport:
      readBlocks(packet, 8, count, listener);
      break;
    case PT.bye:
      listener.bye(words(packet, 4, count));
      break;
    case PT.transport:
      if (count === FMT_TRANSPORT_FEEDBACK) listener.transportFeedback(packet);
      if (count === FMT_GENERIC_NACK && packet.length >= 12 && room > 0) {
        const lost = lostIn(packet, room);
        listener.nack(packet.readUInt32BE(8), lost);
        return lost.length;
      }
      break;
    case PT.payload:
      if (count === FMT_PICTURE_LOSS && packet.length >= 12) listener.pictureLoss(packet.readUInt32BE(8));
      // The header's media SSRC is unused in a FIR; its first entry, of eight bytes, names the stream (RFC 5104 §4.3.1.1).
      if (count === FMT_FULL_INTRA_REQUEST && packet.length >= 20) listener.pictureLoss(packet.readUInt32BE(12));
      if (count === FMT_APPLICATION) readRemb(packet, listener);
      break;
  }
  return 0;
}

/** The bitrate has an exponent of 6 bits and a mantissa of 18. */
function readRemb(packet: Buffer, listener: RtcpListener): void {
  if (packet.length < 20 || packet.readUInt32BE(12) !== REMB_IDENTIFIER) return;
  const mantissa = packet.readUIntBE(17, 3) & 0x3ffff;
  listener.receiverEstimate(mantissa * 2 ** (packet.readUInt8(17) >> 2));
}

const BLOCK_BYTES = 24;

function readBlocks(packet: Buffer, from: number, count: number, listener: RtcpListener): void {
  for (let i = 0; i < count && from + BLOCK_BYTES * (i + 1) <= packet.length; i++) {
    const at = from + BLOCK_BYTES * i;
    const block = {
      ssrc: packet.readUInt32BE(at),
      fractionLost: packet.readUInt8(at + 4) / 256,
      packetsLost: packet.readIntBE(at + 5, 3),
      jitterTicks: packet.readUInt32BE(at + 12),
      lastReport: packet.readUInt32BE(at + 16),
      delaySinceLastReport: packet.readUInt32BE(at + 20),
    };
    listener.report(block, packet.readUInt32BE(4));
  }
}

/** Pairs of a packet id and a bit mask of the 16 packets that follow it. */
function lostIn(packet: Buffer, limit: number): number[] {
  const lost: number[] = [];
  for (let at = 12; at + 4 <= packet.length && lost.length < limit; at += 4) {
    const first = packet.readUInt16BE(at);
    const mask = packet.readUInt16BE(at + 2);
    lost.push(first);
    for (let bit = 0; bit < 16; bit++) {
      if ((mask >> bit) & 1) lost.push((first + bit + 1) & 0xffff);
    }
  }
  lost.length = Math.min(lost.length, limit);
  return lost;
}

function words(packet: Buffer, from: number, count: number): number[] {
  const list: number[] = [];
  for (let i = 0, at = from; i < count && at + 4 <= packet.length; i++, at += 4) list.push(packet.readUInt32BE(at));
  return list;
}
