/** Power relative to the loudest channel (−60 dB) below which a channel counts as silent. */
const SILENT_SHARE = 1e-6;
/** Maximum products per instant: the cost grows with the square of the channels; above this, instants are skipped. */
const PRODUCTS_PER_INSTANT = 128;

/** Accumulates the covariance of every pair of an audio track's channels. */
export class ChannelStatistics {
  readonly #channels: number;
  readonly #stride: number;
  readonly #sums: Float64Array;
  #left: Buffer = Buffer.alloc(0);
  #instant = 0;

  constructor(channels: number) {
    this.#channels = channels;
    this.#stride = Math.ceil((channels * channels) / PRODUCTS_PER_INSTANT);
    this.#sums = new Float64Array(channels * channels);
  }

  /** Adds interleaved s16le samples, split anywhere. */
  push(data: Buffer): void {
    const bytes = this.#left.length > 0 ? Buffer.concat([this.#left, data]) : data;
    const size = 2 * this.#channels;
    const instants = Math.floor(bytes.length / size);
    for (let i = 0; i < instants; i++) {
      if (this.#instant++ % this.#stride === 0) this.#add(bytes, i * size);
    }
    this.#left = bytes.subarray(instants * size);
  }

  /** @returns The covariance of two channels; of a channel with itself, its power. */
  covariance(a: number, b: number): number {
    return this.#sums[Math.max(a, b) * this.#channels + Math.min(a, b)] ?? 0;
  }

  get channels(): number {
    return this.#channels;
  }

  #add(bytes: Buffer, at: number): void {
    const channels = this.#channels;
    for (let a = 0; a < channels; a++) {
      const sample = bytes.readInt16LE(at + 2 * a);
      if (sample === 0) continue;
      for (let b = 0; b <= a; b++) {
        const index = a * channels + b;
        this.#sums[index] = (this.#sums[index] as number) + sample * bytes.readInt16LE(at + 2 * b);
      }
    }
  }
}

/**
 * Computes each channel's weight in the mono mix, so that a source is as loud as in the loudest of the channels that carry
 * it. Channels with the same content share its level; those with inverted polarity are inverted, so that they don't cancel;
 * those with different content (two people, each with a microphone) are added at their own levels. A low-frequency channel
 * is left out unless it is the only one with signal.
 *
 * With ρ the correlation and σ the level of channels, channel i has the weight max_j(|ρij|·σj) / Σ_j(|ρij|·σj).
 * @returns One weight per channel, −1 to 1; equal ones if all are silent.
 */
export function downmixWeights(statistics: ChannelStatistics, channelLayout: string | undefined): number[] {
  const { channels } = statistics;
  const all = Array.from({ length: channels }, (_, channel) => channel);
  const power = (channel: number) => statistics.covariance(channel, channel);
  const audible = all.filter((channel) => power(channel) > SILENT_SHARE * Math.max(...all.map(power)));
  const full = audible.filter((channel) => channel !== lowFrequencyChannel(channelLayout));
  const used = full.length > 0 ? full : audible;
  if (used.length === 0) return all.map(() => 1 / channels);
  const signs = signsOf(used, statistics);
  return all.map((channel) => {
    if (!used.includes(channel)) return 0;
    const level = Math.sqrt(power(channel));
    // |ρij|·σj is |covariance| / σi.
    const shares = used.map((other) => Math.abs(statistics.covariance(channel, other)) / level);
    return ((signs.get(channel) ?? 1) * Math.max(...shares)) / shares.reduce((sum, share) => sum + share, 0);
  });
}

/** @returns The sign of each channel: starting from the loudest, each is added in phase with those before it. */
function signsOf(used: readonly number[], statistics: ChannelStatistics): ReadonlyMap<number, number> {
  const signs = new Map<number, number>();
  for (const channel of used.toSorted((a, b) => statistics.covariance(b, b) - statistics.covariance(a, a))) {
    const resemblance = [...signs].reduce(
      (sum, [other, sign]) => sum + sign * statistics.covariance(channel, other),
      0,
    );
    signs.set(channel, resemblance < 0 ? -1 : 1);
  }
  return signs;
}

/** @returns The index of the LFE channel, which follows the front ones in FFmpeg's channel order. */
function lowFrequencyChannel(layout: string | undefined): number | undefined {
  if (!layout || !/^\d\.1/.test(layout)) return undefined;
  return layout.startsWith('2.1') ? 2 : 3;
}
