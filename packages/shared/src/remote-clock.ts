/** Age at which a sample is dropped, ms, because clocks drift apart. */
const WINDOW_MS = 15_000;
const SAMPLE_LIMIT = 64;

interface Sample {
  readonly atMs: number;
  readonly roundTripMs: number;
  readonly offsetMs: number;
}

/**
 * Estimates another machine's clock from request and answer times, as NTP does (RFC 5905 §8): the sample with the shortest
 * round trip of the last 15 s is the most exact, to half of its round trip.
 */
export class RemoteClock {
  #samples: Sample[] = [];

  /** @param remoteMs The other clock's time in the answer, ms. Times of sending and receiving are monotonic ms. */
  sample(sentMs: number, receivedMs: number, remoteMs: number): void {
    const roundTripMs = receivedMs - sentMs;
    const offsetMs = remoteMs - (sentMs + receivedMs) / 2;
    const fresh = this.#samples.filter(({ atMs }) => receivedMs - atMs < WINDOW_MS);
    this.#samples = [...fresh, { atMs: receivedMs, roundTripMs, offsetMs }].slice(-SAMPLE_LIMIT);
  }

  /** The other clock minus the monotonic clock, ms; `undefined` without a sample. */
  get offsetMs(): number | undefined {
    return this.#best()?.offsetMs;
  }

  /** Largest possible error of {@link offsetMs}, ms. */
  get uncertaintyMs(): number {
    return (this.#best()?.roundTripMs ?? Number.POSITIVE_INFINITY) / 2;
  }

  #best(): Sample | undefined {
    let best = this.#samples[0];
    for (const sample of this.#samples) if (best && sample.roundTripMs <= best.roundTripMs) best = sample;
    return best;
  }
}
