import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Lease } from './lease.js';

const LEASE_MS = 1000;

/** A lease on a fake clock; `answer` determines the result of a renewal. */
function setUp() {
  const clock = { now: 0, nowMs: () => clock.now, wallMs: () => clock.now };
  const log: string[] = [];
  const renewal = { answer: (): Promise<boolean> => Promise.resolve(true) };
  const lease = new Lease({
    clock,
    intervalMs: 250,
    leaseMs: LEASE_MS,
    renew: () => renewal.answer(),
    onLost: () => log.push('lost'),
    onRegained: (unbroken) => log.push(unbroken ? 'held' : 'held anew'),
  });
  const advance = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 50) {
      clock.now += 50;
      await vi.advanceTimersByTimeAsync(50);
    }
  };
  return { clock, log, renewal, lease, advance };
}

describe('Lease', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is held as long as heartbeats succeed', async () => {
    const { lease, log, advance } = setUp();
    await lease.start();
    await advance(10_000);
    expect(lease.held).toBe(true);
    expect(log).toEqual(['held']);
    lease.stop();
  });

  it('is lost before others may take over if heartbeats fail', async () => {
    const { clock, lease, log, renewal, advance } = setUp();
    await lease.start();
    await advance(1000);
    renewal.answer = () => Promise.reject(new Error('connection lost'));
    const failingSince = clock.now;
    while (lease.held) await advance(50);
    expect(clock.now - failingSince).toBeLessThan(LEASE_MS);
    expect(log).toEqual(['held', 'lost']);
    lease.stop();
  });

  it('is lost while a heartbeat hangs, and its late answer does not renew it', async () => {
    const { lease, log, renewal, advance } = setUp();
    await lease.start();
    let release = () => {};
    renewal.answer = () => new Promise((resolve) => (release = () => resolve(true)));
    await advance(2000);
    expect(log).toEqual(['held', 'lost']);
    renewal.answer = () => Promise.resolve(true);
    // An answer this late proves nothing about now.
    release();
    await vi.advanceTimersByTimeAsync(0);
    expect(lease.held).toBe(false);
    await advance(300);
    expect(log).toEqual(['held', 'lost', 'held']);
    lease.stop();
  });

  it('is reported as interrupted if others could have taken over, although it had not expired', async () => {
    const { lease, log, renewal, advance } = setUp();
    await lease.start();
    renewal.answer = () => Promise.resolve(false);
    await advance(250);
    expect(log).toEqual(['held', 'lost', 'held anew']);
    expect(lease.held).toBe(true);
    lease.stop();
  });

  it('is lost at the first check after the process was frozen, whatever its timers report', async () => {
    const { clock, lease, log } = setUp();
    await lease.start();
    clock.now += 5000; // SIGSTOP, SIGCONT
    lease.check(clock.now);
    expect(lease.held).toBe(false);
    expect(log).toEqual(['held', 'lost']);
    lease.stop();
  });
});
