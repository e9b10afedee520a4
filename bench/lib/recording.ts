import { type ReceivedPacket, type ReceivedReport, type ReceiverListener, type TrackKind } from '@humancast/testkit';
import { Unwrapper } from './rtp-clock.ts';

/** RTP ticks per second (RFC 7587 §4.1, RFC 7741 §4.1). */
const CLOCK_RATES: Readonly<Record<TrackKind, number>> = { audio: 48_000, video: 90_000 };

export interface RecordedPacket extends Omit<ReceivedPacket, 'track'> {
  /** Unwrapped sequence number and timestamp, which only grow. */
  readonly index: number;
  readonly ticks: number;
}

export interface RecordedReport extends Omit<ReceivedReport, 'track'> {
  readonly ticks: number;
}

/** All packets and reports of one track. */
export class TrackRecording {
  readonly packets: RecordedPacket[] = [];
  readonly reports: RecordedReport[] = [];
  /** Rate of its RTP clock, ticks per second. */
  readonly rate: number;
  readonly #sequences = new Unwrapper(16);
  #firstTimestamp: number | undefined;

  constructor(kind: TrackKind) {
    this.rate = CLOCK_RATES[kind];
  }

  addPacket(packet: ReceivedPacket): void {
    const index = this.#sequences.unwrap(packet.sequence);
    this.packets.push({ ...packet, index, ticks: this.#ticks(packet.timestamp) });
  }

  addReport(report: ReceivedReport): void {
    this.reports.push({ ...report, ticks: this.#ticks(report.rtpTimestamp) });
  }

  /** @returns the packets in the order in which they were sent. */
  ordered(): RecordedPacket[] {
    return this.packets.toSorted((a, b) => a.index - b.index);
  }

  /** @returns ticks since the first packet, positive or negative; valid for 6.6 hours of video. */
  #ticks(timestamp: number): number {
    this.#firstTimestamp ??= timestamp;
    return (timestamp - this.#firstTimestamp) | 0;
  }
}

/** Records both tracks of a receiver. */
export class Recording {
  readonly audio = new TrackRecording('audio');
  readonly video = new TrackRecording('video');
  readonly listener: ReceiverListener = {
    packet: (packet) => this[packet.track].addPacket(packet),
    report: (report) => this[report.track].addReport(report),
    closed: (reason) => {
      this.closedReason = reason;
    },
  };
  /** The reason for which the connection ended early. */
  closedReason: string | undefined;
}
