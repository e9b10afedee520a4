import { EventEmitter } from 'node:events';
import { type ViewerMessage } from '@humancast/protocol';
import { createLogger, HumancastError } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { SignalSocket, type SocketHandlers } from './signal-socket.js';

/** What SignalSocket uses of a WebSocket, with its buffer in the test's hands. */
class FakeWebSocket extends EventEmitter {
  readonly OPEN = 1;
  readonly readyState = 1;
  readonly sent: string[] = [];
  bufferedAmount = 0;
  terminated = false;
  closed: [number, string] | undefined;

  send(text: string): void {
    this.sent.push(text);
  }
  close(code: number, reason: string): void {
    this.closed = [code, reason];
  }
  terminate(): void {
    this.terminated = true;
    this.emit('close');
  }
  ping(): void {}
  says(message: ViewerMessage): void {
    this.emit('message', Buffer.from(JSON.stringify(message)), false);
  }
}

function socketWith(handlers: Partial<SocketHandlers>) {
  const ws = new FakeWebSocket();
  const socket = new SignalSocket(
    ws as unknown as WebSocket,
    { heartbeatMs: 60_000, messagesPerSecond: 10 },
    createLogger('test', 'silent'),
    { onMessage() {}, onRefused() {}, onClosed() {}, onError() {}, ...handlers },
  );
  return { ws, socket };
}

describe('SignalSocket', () => {
  it('handles messages one after another, also when one takes long or fails', async () => {
    const seen: string[] = [];
    const slow = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    const { ws, socket } = socketWith({
      onMessage: async ({ type }) => {
        seen.push(`${type} begins`);
        if (type === 'interrupt') await slow.promise;
        if (type === 'interrupt') throw new HumancastError('session_ended');
        seen.push(`${type} ends`);
        if (type === 'leave') done.resolve();
      },
      onRefused: ({ code }) => seen.push(code),
    });
    ws.says({ type: 'interrupt' });
    ws.says({ type: 'ping' });
    ws.says({ type: 'leave' });
    slow.resolve();
    await done.promise;
    expect(seen).toEqual([
      'interrupt begins',
      'session_ended',
      'ping begins',
      'ping ends',
      'leave begins',
      'leave ends',
    ]);
    socket.terminate();
  });

  it('cuts off a viewer that does not read', () => {
    const { ws, socket } = socketWith({});
    ws.bufferedAmount = 1_000_000;
    socket.send({ type: 'pong' });
    expect(ws.terminated).toBe(false);
    ws.bufferedAmount = 1_048_577;
    socket.send({ type: 'pong' });
    expect(ws.terminated).toBe(true);
    socket.send({ type: 'pong' });
    expect(ws.sent).toHaveLength(2);
  });

  it('says nothing more, and hears nothing more, once it closes', async () => {
    const seen: string[] = [];
    const { ws, socket } = socketWith({ onMessage: ({ type }) => void seen.push(type) });
    socket.fail('replaced');
    socket.send({ type: 'pong' });
    ws.says({ type: 'ping' });
    await Promise.resolve();
    expect(ws.sent.map((text) => JSON.parse(text))).toEqual([
      expect.objectContaining({ type: 'error', code: 'replaced' }),
    ]);
    expect(ws.closed).toEqual([4409, 'replaced']);
    expect(seen).toEqual([]);
    socket.terminate();
  });

  it('tells once that it is gone', () => {
    let closed = 0;
    const { ws, socket } = socketWith({ onClosed: () => closed++ });
    socket.terminate();
    ws.emit('close');
    expect(closed).toBe(1);
  });
});
