import type { TrackKind } from './receiver.js';
import type { RtcpReport } from './receiver-link.js';

const RATES: Readonly<Record<TrackKind, number>> = { audio: 48_000, video: 90_000 };

/** Checks a track's sender reports: each pairs an NTP instant with an RTP timestamp, and all must lie on one line. */
export class ReportLine {
  readonly #rate: number;
  #first: RtcpReport | undefined;
  #reports = 0;
  #worstMs = 0;

  constructor(kind: TrackKind) {
    this.#rate = RATES[kind];
  }

  get reports(): number {
    return this.#reports;
  }

  /** The largest distance of a report from the line through the first one, ms. */
  get worstMs(): number {
    return this.#worstMs;
  }

  add(report: RtcpReport): void {
    this.#reports++;
    this.#first ??= report;
    const ntpMs = (Number(report.ntp - this.#first.ntp) / 2 ** 32) * 1000;
    const rtpMs = (((report.rtpTimestamp - this.#first.rtpTimestamp) | 0) / this.#rate) * 1000;
    this.#worstMs = Math.max(this.#worstMs, Math.abs(ntpMs - rtpMs));
  }
}
