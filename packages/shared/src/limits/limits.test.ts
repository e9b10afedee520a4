import { describe, expect, it } from 'vitest';
import { HumancastError } from '../humancast-error.js';
import { ConcurrencyLimiter } from './concurrency-limiter.js';
import { isLoopback, networkOf } from './network.js';
import { perMinute, RateLimiter } from './rate-limiter.js';
import { TokenBucket } from './token-bucket.js';
import { TrustedProxies } from './trusted-proxies.js';

const rejectionOf = (attempt: () => unknown): HumancastError => {
  try {
    attempt();
  } catch (error) {
    return error as HumancastError;
  }
  throw new Error('it was allowed');
};

describe('TokenBucket', () => {
  it('admits a burst, then the average', () => {
    let nowMs = 0;
    const bucket = new TokenBucket(3, 2, () => nowMs);
    expect([bucket.take(), bucket.take(), bucket.take(), bucket.take()]).toEqual([true, true, true, false]);
    expect(bucket.waitMs).toBe(500);
    nowMs = 499;
    expect(bucket.take()).toBe(false);
    nowMs = 500;
    expect([bucket.take(), bucket.take()]).toEqual([true, false]);
    nowMs = 60_000;
    expect(bucket.full).toBe(true);
    expect(bucket.waitMs).toBe(0);
  });
});

describe('RateLimiter', () => {
  it('limits each key separately, and names the limit and the retry delay', () => {
    const limiter = new RateLimiter(perMinute('THINGS_PER_MINUTE', 'things', 2), () => 0);
    limiter.require('a');
    limiter.require('a');
    const rejection = rejectionOf(() => limiter.require('a'));
    expect(rejection).toMatchObject({ code: 'rate_limited', status: 429, retryAfterSeconds: 30 });
    expect(rejection.extra).toEqual({ limit: 'THINGS_PER_MINUTE' });
    limiter.require('b');
  });

  it('forgets keys that were unused for a while', () => {
    let nowMs = 0;
    const limiter = new RateLimiter(perMinute('X', 'things', 10), () => nowMs);
    for (let i = 0; i < 100; i++) limiter.require(`192.0.2.${i}`);
    expect(limiter.size).toBe(100);
    nowMs = 60_000;
    limiter.require('198.51.100.1');
    expect(limiter.size).toBe(1);
  });

  it('remembers a limited number of keys', () => {
    const limiter = new RateLimiter(perMinute('X', 'things', 10), () => 0);
    for (let i = 0; i < 60_000; i++) limiter.require(`key ${i}`);
    expect(limiter.size).toBe(50_000);
  });
});

describe('ConcurrencyLimiter', () => {
  it('counts reservations by key, and forgets keys without any', () => {
    const limiter = new ConcurrencyLimiter({ setting: 'THINGS', what: 'things', limit: 2 });
    const releases = [limiter.acquire('a'), limiter.acquire('a'), limiter.acquire('b')];
    expect(rejectionOf(() => limiter.acquire('a'))).toMatchObject({
      code: 'too_many_connections',
      status: 429,
      retryAfterSeconds: 5,
      extra: { limit: 'THINGS' },
    });
    releases[0]?.();
    releases[0]?.();
    expect(limiter.count('a')).toBe(1);
    releases.push(limiter.acquire('a'));
    for (const release of releases) release();
    expect(limiter.size).toBe(0);
  });
});

describe('networkOf()', () => {
  it('returns one network for an IPv6 /64, and for an IPv4 address and its IPv4-mapped form', () => {
    expect(networkOf('2001:db8:0:0:1:2:3:4')).toBe(networkOf('2001:DB8::1'));
    expect(networkOf('2001:db8::9')).toBe(networkOf('2001:0db8:0000:0000::1'));
    expect(networkOf('2001:db8:0:1::1')).not.toBe(networkOf('2001:db8::1'));
    expect(networkOf('fe80::1%eth0')).toBe(networkOf('fe80::2'));
    expect(networkOf('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(networkOf('192.0.2.1')).not.toBe(networkOf('192.0.2.2'));
  });
});

describe('isLoopback()', () => {
  it('returns true for addresses that only this machine can reach', () => {
    for (const address of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) expect(isLoopback(address)).toBe(true);
    for (const address of ['0.0.0.0', '::', '', '192.168.0.1', 'localhost.example.org', '127.0.0.1.example.org'])
      expect(isLoopback(address), address).toBe(false);
  });
});

describe('TrustedProxies', () => {
  const clientOf = (trust: string, peer: string, forwarded?: string | string[]) =>
    TrustedProxies.parse(trust)?.clientAddress({
      headers: { 'x-forwarded-for': forwarded } as never,
      socket: { remoteAddress: peer } as never,
    });

  it('trusts no proxy by default', () => {
    expect(clientOf('false', '192.0.2.9', '198.51.100.1')).toBe('192.0.2.9');
    expect(clientOf('0', '192.0.2.9', '198.51.100.1')).toBe('192.0.2.9');
    expect(TrustedProxies.none.any).toBe(false);
  });

  it('returns the address that the outermost proxy has added, not one made up by the caller', () => {
    const header = '1.1.1.1, 198.51.100.1, 10.0.0.5';
    expect(clientOf('true', '10.0.0.6', '1.1.1.1, 198.51.100.1')).toBe('198.51.100.1');
    expect(clientOf('1', '10.0.0.6', ['1.1.1.1', '198.51.100.1'])).toBe('198.51.100.1');
    expect(clientOf('2', '10.0.0.6', header)).toBe('198.51.100.1');
    // A request that passed fewer of them than usual.
    expect(clientOf('2', '10.0.0.6', '198.51.100.1')).toBe('198.51.100.1');
  });

  it('skips the proxies of a list, behind a balancer and an ingress too', () => {
    const trust = '10.0.0.0/8, 203.0.113.7';
    expect(clientOf(trust, '10.1.2.3', '1.1.1.1, 198.51.100.1, 203.0.113.7')).toBe('198.51.100.1');
    expect(clientOf(trust, '::ffff:10.1.2.3', '198.51.100.1, 203.0.113.7')).toBe('198.51.100.1');
    expect(clientOf('loopback,uniquelocal', '127.0.0.1', '2001:db8::5, 192.168.4.4')).toBe('2001:db8::5');
    // A caller who bypasses the proxies is identified by its own address.
    expect(clientOf(trust, '198.51.100.99', '1.1.1.1')).toBe('198.51.100.99');
    expect(TrustedProxies.parse(trust)?.trusts('198.51.100.99')).toBe(false);
  });

  it("reads entries with ports, and returns the proxy's address for an invalid entry", () => {
    expect(clientOf('1', '10.0.0.6', '198.51.100.1:4711')).toBe('198.51.100.1');
    expect(clientOf('1', '10.0.0.6', '[2001:db8::5]:4711')).toBe('2001:db8::5');
    expect(clientOf('1', '10.0.0.6', 'unknown')).toBe('10.0.0.6');
    expect(clientOf('1', '10.0.0.6', undefined)).toBe('10.0.0.6');
    expect(clientOf('1', '10.0.0.6', `${'9.9.9.9,'.repeat(10_000)}198.51.100.1`)).toBe('198.51.100.1');
  });

  it.each(['yes', '11', '-1', '10.0.0.0/33', '10.0.0.0/x', '10.0.0', 'fe80::/129', '', '1.2.3.4,,5.6.7.8'])(
    'rejects "%s"',
    (text) => {
      expect(TrustedProxies.parse(text)).toBeUndefined();
    },
  );
});
