import { Histogram, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { FastHistogram } from './fast-histogram.js';

const buckets = [-0.04, -0.01, 0, 0.01, 0.06];
const values = [-1, -0.04, -0.02, 0, 0.005, 0.06, 0.07, 4];

describe('a series histogram', () => {
  it('is written as prom-client writes its own, negative bounds, labels and all', async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    const common = { name: 'skew_seconds', help: 'Skew', labelNames: ['track'] as const, buckets };
    const series = new FastHistogram({ ...common, registry: ours }).series({ track: 'video' });
    const reference = new Histogram({ ...common, buckets: [...buckets], registers: [theirs] });
    for (const registry of [ours, theirs]) registry.setDefaultLabels({ service: 'test' });
    for (const value of values) {
      series.observe(value);
      reference.observe({ track: 'video' }, value);
    }
    const lines = async (registry: Registry) => (await registry.metrics()).split('\n').map(sortLabels).sort();
    expect(await lines(ours)).toEqual(await lines(theirs));
  });

  it('starts again from nothing when it is reset', async () => {
    const registry = new Registry();
    const histogram = new FastHistogram({ name: 'h', help: 'h', buckets: [1], registry });
    const series = histogram.series({});
    series.observe(3);
    registry.resetMetrics();
    series.observe(0.5);
    expect(series.cumulative).toEqual([1, 1]);
    expect(series.sum).toBe(0.5);
  });
});

/** Their order says nothing. */
function sortLabels(line: string): string {
  return line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').sort().join(',')}}`);
}
