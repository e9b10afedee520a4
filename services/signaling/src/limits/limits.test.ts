import { describe, expect, it } from 'vitest';
import { AddressLimiter } from './address-limiter.js';
import { TokenBucket } from './token-bucket.js';

describe('TokenBucket', () => {
  it('lets a burst through, then the average', () => {
    let nowMs = 0;
    const bucket = new TokenBucket(3, 2, () => nowMs);
    expect([bucket.take(), bucket.take(), bucket.take(), bucket.take()]).toEqual([true, true, true, false]);
    nowMs = 499;
    expect(bucket.take()).toBe(false);
    nowMs = 500;
    expect([bucket.take(), bucket.take()]).toEqual([true, false]);
    nowMs = 60_000;
    expect(bucket.full).toBe(true);
  });
});

describe('AddressLimiter', () => {
  it('counts each address by itself', () => {
    const limiter = new AddressLimiter(2, () => 0);
    expect([limiter.take('192.0.2.1'), limiter.take('192.0.2.1'), limiter.take('192.0.2.1')]).toEqual([
      true,
      true,
      false,
    ]);
    expect(limiter.take('192.0.2.2')).toBe(true);
  });

  it('counts an IPv6 /64, and an IPv4 address in IPv6 clothes, as one', () => {
    const limiter = new AddressLimiter(1, () => 0);
    expect(limiter.take('2001:db8::1')).toBe(true);
    expect(limiter.take('2001:db8:0:0:1:2:3:4')).toBe(false);
    expect(limiter.take('2001:db8:0:1::1')).toBe(true);
    expect(limiter.take('::ffff:192.0.2.1')).toBe(true);
    expect(limiter.take('192.0.2.1')).toBe(false);
  });

  it('forgets addresses that have used nothing for a while', () => {
    let nowMs = 0;
    const limiter = new AddressLimiter(10, () => nowMs);
    for (let i = 0; i < 100; i++) limiter.take(`192.0.2.${i}`);
    expect(limiter.size).toBe(100);
    nowMs = 60_000;
    limiter.take('198.51.100.1');
    expect(limiter.size).toBe(1);
  });
});
