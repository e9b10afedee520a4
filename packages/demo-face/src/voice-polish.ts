/** Filters for a synthetic voice: they remove rumble and harsh highs. */
const FILTERS = [
  { kind: 'highpass', hz: 90, q: Math.SQRT1_2 },
  { kind: 'peak', hz: 240, q: 1, gainDb: 2 },
  { kind: 'peak', hz: 3200, q: 1.2, gainDb: -2.5 },
  { kind: 'lowpass', hz: 7200, q: Math.SQRT1_2 },
] as const satisfies readonly Filter[];
/** Make-up gain, to about −18 LUFS. */
const MAKE_UP_DB = 5.8;

interface Filter {
  readonly kind: 'highpass' | 'lowpass' | 'peak';
  readonly hz: number;
  readonly q: number;
  /** Gain of a peak filter, dB. */
  readonly gainDb?: number;
}

/** Compressor: above the threshold (amplitude), `ratio` dB more input yields 1 dB more output. */
const COMPRESSOR = { threshold: 0.12, ratio: 2.5, attackSeconds: 0.002, releaseSeconds: 0.03 };

/** Filters and compresses a voice without delay, so that phoneme times stay valid. @param pcm Mono. */
export function polishVoice(pcm: Int16Array, sampleRate: number): Int16Array {
  const samples = Float64Array.from(pcm, (sample) => sample / 32_768);
  for (const filter of FILTERS) applyBiquad(samples, biquadOf(filter, sampleRate));
  compress(samples, sampleRate);
  const gain = 32_768 * fromDecibels(MAKE_UP_DB);
  return Int16Array.from(samples, (sample) => Math.max(-32_768, Math.min(32_767, Math.round(gain * sample))));
}

type Biquad = readonly [b0: number, b1: number, b2: number, a1: number, a2: number];

/** R. Bristow-Johnson, "Cookbook formulae for audio equalizer biquad filter coefficients". */
function biquadOf({ kind, hz, q, gainDb = 0 }: Filter, sampleRate: number): Biquad {
  const w = (2 * Math.PI * hz) / sampleRate;
  const cos = Math.cos(w);
  const alpha = Math.sin(w) / (2 * q);
  const amplitude = 10 ** (gainDb / 40);
  const normalized = (b0: number, b1: number, b2: number, a0: number, a1: number, a2: number): Biquad => [
    ...([b0 / a0, b1 / a0, b2 / a0] as const),
    ...([a1 / a0, a2 / a0] as const),
  ];
  switch (kind) {
    case 'highpass':
      return normalized((1 + cos) / 2, -(1 + cos), (1 + cos) / 2, 1 + alpha, -2 * cos, 1 - alpha);
    case 'lowpass':
      return normalized((1 - cos) / 2, 1 - cos, (1 - cos) / 2, 1 + alpha, -2 * cos, 1 - alpha);
    case 'peak':
      return normalized(
        ...([1 + alpha * amplitude, -2 * cos, 1 - alpha * amplitude] as const),
        ...([1 + alpha / amplitude, -2 * cos, 1 - alpha / amplitude] as const),
      );
  }
}

/** Filters in place. */
function applyBiquad(samples: Float64Array, [b0, b1, b2, a1, a2]: Biquad): void {
  let [x1, x2, y1, y2] = [0, 0, 0, 0];
  for (let i = 0; i < samples.length; i++) {
    const x = samples[i] as number;
    const y = b0 * x + b1 * x1 + b2 * x2 - a1 * y1 - a2 * y2;
    [x2, x1, y2, y1] = [x1, x, y1, y];
    samples[i] = y;
  }
}

/** Compresses in place: tracks the power with attack and release, and attenuates above the threshold. */
function compress(samples: Float64Array, sampleRate: number): void {
  const { threshold, ratio, attackSeconds, releaseSeconds } = COMPRESSOR;
  const attack = Math.min(1, 1 / (attackSeconds * sampleRate));
  const release = Math.min(1, 1 / (releaseSeconds * sampleRate));
  let power = 0;
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i] as number;
    const now = sample * sample;
    power += (now - power) * (now > power ? attack : release);
    const over = Math.sqrt(power) / threshold;
    if (over > 1) samples[i] = sample * over ** (1 / ratio - 1);
  }
}

function fromDecibels(decibels: number): number {
  return 10 ** (decibels / 20);
}
