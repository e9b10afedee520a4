/** Maximum number of sender reports that wait for their echo. */
const REMEMBERED_REPORTS = 8;
/** Weight of a new measurement. */
const GAIN = 0.25;

/** Round trip time from sender reports and their echo in receiver reports (RFC 3550 §6.4.1, LSR and DLSR). */
export class RoundTrip {
  readonly #sent: { readonly report: number; readonly atMs: number }[] = [];
  #ms: number | undefined;

  /** Smoothed round trip time. */
  get ms(): number | undefined {
    return this.#ms;
  }

  reported(ntp: bigint, nowMs: number): void {
    this.#sent.push({ report: Number((ntp >> 16n) & 0xffff_ffffn), atMs: nowMs });
    if (this.#sent.length > REMEMBERED_REPORTS) this.#sent.shift();
  }

  /** @param delaySinceReport in 1/65536 s. */
  answered(lastReport: number, delaySinceReport: number, nowMs: number): void {
    const sent = this.#sent.find(({ report }) => report === lastReport);
    if (!sent) return;
    const measuredMs = Math.max(0, nowMs - sent.atMs - (delaySinceReport * 1000) / 65_536);
    this.#ms = this.#ms === undefined ? measuredMs : this.#ms + GAIN * (measuredMs - this.#ms);
  }
}
