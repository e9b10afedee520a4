import type { ReceptionReport } from '../rtp/rtcp.js';

const RTP_RATE = 48_000;
const SEQUENCES = 65_536;
/** The least number of packets that the cumulative loss can state (24 bits, signed). */
const MAX_LOST = 0x7f_ffff;

/** Statistics of a received stream for receiver reports (RFC 3550 §6.4.1, A.3, A.8). */
export class Reception {
  readonly ssrc: number;
  readonly #firstSequence: number;
  #highest: number;
  #received = 0;
  #jitterTicks = 0;
  #transitTicks: number | undefined;
  #expectedBefore = 0;
  #receivedBefore = 0;
  #senderReport: { readonly middle: number; readonly atMs: number } | undefined;

  /** @param sequence Extended sequence number of the first packet. */
  constructor(ssrc: number, sequence: number) {
    this.ssrc = ssrc;
    this.#firstSequence = sequence;
    this.#highest = sequence;
  }

  get jitterMs(): number {
    return (this.#jitterTicks * 1000) / RTP_RATE;
  }

  /**
   * @param sequence Extended sequence number.
   * @param ticks Extended timestamp.
   */
  received(sequence: number, ticks: number, arrivedAtMs: number): void {
    this.#received++;
    if (sequence > this.#highest) this.#highest = sequence;
    const transit = (arrivedAtMs * RTP_RATE) / 1000 - ticks;
    if (this.#transitTicks !== undefined) {
      this.#jitterTicks += (Math.abs(transit - this.#transitTicks) - this.#jitterTicks) / 16;
    }
    this.#transitTicks = transit;
  }

  /** @param middle Middle 32 bits of the report's NTP timestamp. */
  reported(middle: number, atMs: number): void {
    this.#senderReport = { middle, atMs };
  }

  /** @returns The report block for now; the next one begins here. */
  report(nowMs: number): ReceptionReport {
    const expected = this.#highest - this.#firstSequence + 1;
    const expectedSince = expected - this.#expectedBefore;
    const lostSince = expectedSince - (this.#received - this.#receivedBefore);
    this.#expectedBefore = expected;
    this.#receivedBefore = this.#received;
    const delayMs = this.#senderReport ? nowMs - this.#senderReport.atMs : 0;
    return {
      ssrc: this.ssrc,
      fractionLost:
        expectedSince > 0 && lostSince > 0 ? Math.min(255, Math.floor((lostSince * 256) / expectedSince)) : 0,
      packetsLost: Math.max(-MAX_LOST, Math.min(MAX_LOST, expected - this.#received)),
      highestSequence: this.#highest % SEQUENCES ** 2,
      jitterTicks: Math.round(this.#jitterTicks),
      lastReport: this.#senderReport?.middle ?? 0,
      delaySinceLastReport: Math.round((delayMs * 65_536) / 1000),
    };
  }
}
