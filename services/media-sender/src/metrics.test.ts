import { createRegistry } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { SenderMetrics, type SenderState } from './metrics.js';
import type { Sending } from './playout/viewer-fanout.js';
import { Traffic } from './transport/traffic.js';

const STATE: SenderState = {
  sessions: () => 1,
  viewers: () => 0,
  sending: () => [],
  avatars: () => new Map(),
  capacity: 1,
  viewerCapacity: 0,
  followed: () => 0,
  takesSessions: () => true,
  prefetchedMs: () => 0,
  cache: { bytes: 0, hits: 0, misses: 0, evictions: 0 },
  traffic: () => new Traffic().totals(),
  packetPath: 'javascript',
  voicesDropped: () => 0,
};

describe('SenderMetrics', () => {
  it('counts voices over speech by what they did and what they were, from 0 on', async () => {
    const registry = createRegistry('test');
    const metrics = new SenderMetrics(registry, STATE);
    metrics.bargedIn('stop', 'confirmed');
    metrics.bargedIn('stop', 'limited');
    metrics.bargedIn('stop', 'confirmed');
    const { values = [] } = (await registry.getSingleMetric('humancast_sender_barge_ins_total')?.get()) ?? {};
    expect(values.map(({ labels, value }) => [labels['action'], labels['outcome'], value])).toEqual([
      ['duck', 'confirmed', 0],
      ['duck', 'brief', 0],
      ['stop', 'confirmed', 2],
      ['stop', 'brief', 0],
      ['stop', 'limited', 1],
    ]);
  });

  it('counts viewers by rung at each scrape, and those on the lowest of several rungs', async () => {
    let sending: Sending[] = [];
    const registry = createRegistry('test');
    new SenderMetrics(registry, { ...STATE, viewers: () => sending.length, sending: () => sending });
    const valuesOf = async (name: string) => (await registry.getSingleMetric(name)?.get())?.values.map((v) => v.value);
    expect(await valuesOf('humancast_sender_rung_viewers')).toEqual([0, 0, 0, 0]);
    const at = (rung: number, rungs: number) => ({ rung, rungs, estimateBps: 1e6 });
    // The last one has no smaller rendition to be sent.
    sending = [at(0, 3), at(1, 3), at(2, 3), at(2, 3), at(0, 1)];
    expect(await valuesOf('humancast_sender_rung_viewers')).toEqual([2, 1, 2, 0]);
    expect(await valuesOf('humancast_sender_lowest_rung_viewers')).toEqual([2]);
    sending = [at(0, 3)];
    expect(await valuesOf('humancast_sender_rung_viewers')).toEqual([1, 0, 0, 0]);
    expect(await valuesOf('humancast_sender_lowest_rung_viewers')).toEqual([0]);
  });
});
