import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WebSocket } from 'ws';
import { LiveSocket } from './live-socket.js';

class FakeWebSocket extends EventEmitter {
  pings = 0;
  ping(): void {
    this.pings++;
  }
  pause(): void {}
  resume(): void {}
  terminate(): void {
    this.emit('close');
  }
}

describe('LiveSocket', () => {
  let ws: FakeWebSocket;
  let socket: LiveSocket;
  let closed: boolean;
  beforeEach(() => {
    vi.useFakeTimers();
    closed = false;
    ws = new FakeWebSocket();
    socket = new LiveSocket(ws as unknown as WebSocket, 10, {
      onMessage: () => {},
      onRejected: () => {},
      onClosed: () => {
        closed = true;
      },
    });
  });
  afterEach(() => vi.useRealTimers());

  it('stays open for hours without a message while the producer answers pings', () => {
    ws.ping = () => ws.emit('pong');
    vi.advanceTimersByTime(3 * 3_600_000);
    expect(closed).toBe(false);
  });

  it('terminates a connection whose producer answers no pings', () => {
    vi.advanceTimersByTime(60_000);
    expect({ pings: ws.pings, closed }).toEqual({ pings: 3, closed: false });
    vi.advanceTimersByTime(20_000);
    expect(closed).toBe(true);
    vi.advanceTimersByTime(60_000);
    expect(ws.pings).toBe(3);
  });

  it('does not miss answers while it is paused, because it does not read them', () => {
    socket.pause();
    vi.advanceTimersByTime(3_600_000);
    expect(closed).toBe(false);
    socket.resume();
    vi.advanceTimersByTime(80_000);
    expect(closed).toBe(true);
  });
});
