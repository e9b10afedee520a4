/** Maps RTP timestamps to NTP time by sender reports (RFC 3550 §6.4.1). */
export class RtpClock {
  readonly #rate: number;
  readonly #reports: { readonly ntp: bigint; readonly ticks: number }[] = [];

  /** @param rate ticks per second of the track's RTP clock. */
  constructor(rate: number) {
    this.#rate = rate;
  }

  get reports(): number {
    return this.#reports.length;
  }

  /** @param rtpTicks unwrapped, see {@link Unwrapper}. */
  add(ntp: bigint, rtpTicks: number): void {
    this.#reports.push({ ntp, ticks: rtpTicks });
  }

  /**
   * @param rtpTicks unwrapped; may have a fraction.
   * @returns NTP time in ms since `originNtp`, by the nearest report.
   */
  ntpMs(rtpTicks: number, originNtp: bigint): number {
    let nearest = this.#reports[0];
    for (const report of this.#reports) {
      if (nearest && Math.abs(report.ticks - rtpTicks) < Math.abs(nearest.ticks - rtpTicks)) nearest = report;
    }
    if (!nearest) throw new Error('no sender report was received');
    return ntpDeltaMs(nearest.ntp, originNtp) + ((rtpTicks - nearest.ticks) / this.#rate) * 1000;
  }
}

/** @returns the difference of two 32.32 fixed-point NTP times, ms. */
export function ntpDeltaMs(to: bigint, from: bigint): number {
  return (Number(to - from) / 2 ** 32) * 1000;
}

/** Counts across the wrap of a 16- or 32-bit number. */
export class Unwrapper {
  readonly #modulus: number;
  #last: number | undefined;

  constructor(bits: 16 | 32) {
    this.#modulus = 2 ** bits;
  }

  unwrap(value: number): number {
    const last = this.#last ?? value;
    const ahead = (((value - last) % this.#modulus) + this.#modulus) % this.#modulus;
    this.#last = last + (ahead < this.#modulus / 2 ? ahead : ahead - this.#modulus);
    return this.#last;
  }
}
