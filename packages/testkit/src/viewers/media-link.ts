import { createHash } from 'node:crypto';
import type { IceServer } from '@humancast/protocol';
import type { TrackKind } from './receiver.js';
import { answerTo, type Offer, readOffer } from './receiver-answer.js';
import { ReceiverLink } from './receiver-link.js';
import { ReportLine } from './report-line.js';
import { TrackCheck } from './track-check.js';

const RTP_HEADER_BYTES = 12;
/** RTCP payload types share the port with RTP's (RFC 5761 §4). */
const [RTCP_FIRST, RTCP_LAST] = [192, 223];
const SENDER_REPORT = 200;
const REPORT_INTERVAL_MS = 1000;

export interface MediaLinkOptions {
  readonly connection: string;
  readonly epoch: number;
  readonly sdp: string;
  readonly iceServers: readonly IceServer[];
  readonly relayOnly: boolean;
  /** Whether to decrypt frames and compute a digest of each. */
  readonly digests: boolean;
  /** Called for each complete frame. */
  readonly onFrame: (link: MediaLink, arrivedMs: number, digest: string | undefined) => void;
}

/** One media connection from the host's offer to its end, with its faults. */
export class MediaLink {
  readonly connection: string;
  readonly epoch: number;
  /** URL of the TURN server, if it was given one. */
  readonly relay: string | undefined;
  readonly tracks = { audio: new TrackCheck('audio'), video: new TrackCheck('video') };
  readonly reports = { audio: new ReportLine('audio'), video: new ReportLine('video') };
  readonly openedMs = performance.now();
  firstPacketMs: number | undefined;
  lastPacketMs: number | undefined;
  readonly #options: MediaLinkOptions;
  readonly #offer: Offer;
  readonly #parts: Buffer[] = [];
  #partsTimestamp = 0;
  #link: ReceiverLink | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: MediaLinkOptions) {
    this.connection = options.connection;
    this.epoch = options.epoch;
    this.relay = options.iceServers[0]?.urls[0];
    this.#options = options;
    this.#offer = readOffer(options.sdp);
  }

  /** Resolves when media can arrive. @param answer sends the answer. */
  async connect(answer: (sdp: string) => void): Promise<void> {
    const { iceServers, relayOnly } = this.#options;
    const onMedia = (data: Buffer, arrivedMs: number) => this.#read(data, arrivedMs);
    const link = await ReceiverLink.open({ offer: this.#offer, iceServers, relayOnly, onMedia });
    if (this.#closed) return link.close();
    this.#link = link;
    answer(answerTo(this.#offer, link.description));
    await link.connect();
    if (this.#closed) return;
    link.sendReceiverReport();
    this.#heartbeat = setInterval(() => link.sendReceiverReport(), REPORT_INTERVAL_MS);
  }

  /** See {@link ReceiverLink.setReading}. */
  setReading(reading: boolean): void {
    this.#link?.setReading(reading);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#heartbeat);
    void this.#link?.close();
  }

  #read(data: Buffer, arrivedMs: number): void {
    if (data.length < RTP_HEADER_BYTES || this.#closed) return;
    const type = data.readUInt8(1);
    if (type < RTCP_FIRST || type > RTCP_LAST) this.#readRtp(data, arrivedMs);
    else if (type === SENDER_REPORT) this.#readReports(data);
  }

  #readRtp(data: Buffer, arrivedMs: number): void {
    const kind = this.#kindOf(data.readUInt32BE(8));
    if (!kind) return;
    this.firstPacketMs ??= arrivedMs;
    this.lastPacketMs = arrivedMs;
    this.tracks[kind].add(data.readUInt16BE(2), data.readUInt32BE(4));
    if (kind === 'audio') return;
    const timestamp = data.readUInt32BE(4);
    // A host that lost its lease within a frame never sends the rest, without a gap in sequence numbers.
    if (timestamp !== this.#partsTimestamp) this.#parts.length = 0;
    this.#partsTimestamp = timestamp;
    if (this.#options.digests) this.#parts.push(this.#link?.unprotectRtp(data) ?? Buffer.alloc(0));
    if (data.readUInt8(1) >> 7 === 0) return;
    this.#options.onFrame(this, arrivedMs, this.#options.digests ? digestOf(this.#parts.splice(0)) : undefined);
  }

  #readReports(data: Buffer): void {
    for (const report of this.#link?.unprotectRtcp(data) ?? []) {
      const kind = this.#kindOf(report.ssrc);
      if (kind) this.reports[kind].add(report);
    }
  }

  #kindOf(ssrc: number): TrackKind | undefined {
    return this.#offer.tracks.find((track) => track.ssrc === ssrc)?.kind;
  }
}

/** The digest covers the encoder's output: it skips each packet's VP8 descriptor, four bytes here (RFC 7741 §4.2). */
function digestOf(payloads: readonly Buffer[]): string {
  const hash = createHash('sha1');
  for (const payload of payloads) hash.update(payload.subarray(4));
  return hash.digest('base64');
}
