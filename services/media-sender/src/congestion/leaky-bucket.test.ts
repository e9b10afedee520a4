import { expect, it } from 'vitest';
import { LeakyBucket } from './leaky-bucket.js';

it('LeakyBucket releases bytes evenly at its rate, and tells when there is room again', () => {
  const bucket = new LeakyBucket();
  let sentBytes = 0;
  let nowMs = 0;
  while (nowMs < 1000) {
    while (bucket.room(2_000_000, nowMs) > 0) {
      bucket.spend(1000);
      sentBytes += 1000;
    }
    const readyAtMs = bucket.readyAtMs(2_000_000, nowMs);
    expect(readyAtMs).toBeGreaterThan(nowMs);
    expect(readyAtMs - nowMs).toBeLessThan(5);
    nowMs = readyAtMs;
  }
  expect(sentBytes).toBeGreaterThan(249_000);
  expect(sentBytes).toBeLessThan(254_000);
});

it('LeakyBucket accumulates at most one burst while nothing is sent', () => {
  const bucket = new LeakyBucket();
  bucket.spend(1);
  expect(bucket.room(8_000_000, 60_000)).toBe(5000);
});
