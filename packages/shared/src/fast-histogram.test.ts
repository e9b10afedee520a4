import { Histogram, Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { FastHistogram } from './fast-histogram.js';

const buckets = [-0.04, -0.01, 0, 0.01, 0.06];
const values = [-1, -0.04, -0.02, 0, 0.005, 0.06, 0.07, 4];

describe('FastHistogram', () => {
  it('prints series as prom-client does, including negative bounds and labels', async () => {
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

  it('starts from 0 after a reset', async () => {
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

/** Sorted, because the order of lines is not significant. */
function sortLabels(line: string): string {
  return line.replace(/\{(.*)\}/, (_, labels: string) => `{${labels.split(',').sort().join(',')}}`);
}
