import { describe, expect, it } from 'vitest';
import { ChannelStatistics, downmixWeights } from './downmix.js';

const tone = (hz: number, level: number) => (i: number) =>
  Math.round(level * 10_000 * Math.sin((2 * Math.PI * hz * i) / 16_000));
const silence = () => 0;
type Channel = (instant: number) => number;

function weightsOf(channels: readonly Channel[], layout?: string, chunkBytes = 1001): number[] {
  const samples = Int16Array.from({ length: 16_000 * channels.length }, (_, i) => {
    const channel = channels[i % channels.length] as Channel;
    return channel(Math.floor(i / channels.length));
  });
  const statistics = new ChannelStatistics(channels.length);
  const bytes = Buffer.from(samples.buffer);
  for (let at = 0; at < bytes.length; at += chunkBytes) statistics.push(bytes.subarray(at, at + chunkBytes));
  return downmixWeights(statistics, layout);
}

describe('downmixWeights()', () => {
  const speech = tone(440, 1);
  const other = tone(650, 1);
  const cases: readonly [string, readonly Channel[], readonly number[], string?][] = [
    ['uses the only audible channel', [silence, speech, silence], [0, 1, 0]],
    ['shares the level between identical channels', [speech, speech], [0.5, 0.5]],
    ['inverts a channel of opposite polarity', [speech, (i) => -speech(i)], [0.5, -0.5]],
    ['adds channels with different content', [speech, other], [1, 1]],
    ['weights crosstalk by its share', [speech, tone(440, 0.25)], [0.8, 0.8]],
    [
      'omits the low-frequency channel',
      [speech, silence, silence, tone(60, 1), silence, silence],
      [1, 0, 0, 0, 0, 0],
      '5.1',
    ],
    ['uses the low-frequency channel if it is the only audible one', [silence, silence, tone(60, 1)], [0, 0, 1], '2.1'],
    ['separates pairs with different content', [speech, other, speech, other], [0.5, 0.5, 0.5, 0.5]],
    ['gives silent channels equal weights', [silence, silence], [0.5, 0.5]],
  ];
  it.each(cases)('%s', (_, channels, expected, layout) => {
    const weights = weightsOf(channels, layout);
    expect(weights).toHaveLength(expected.length);
    for (const [i, weight] of weights.entries()) expect(weight).toBeCloseTo(expected[i] as number, 2);
  });

  it('gives full weight to the only audible one of 64 channels', () => {
    const weights = weightsOf(Array.from({ length: 64 }, (_, i) => (i === 41 ? speech : silence)));
    expect(weights.map((weight) => Math.round(weight * 100) / 100)).toEqual(
      Array.from({ length: 64 }, (_, i) => (i === 41 ? 1 : 0)),
    );
  });
});
