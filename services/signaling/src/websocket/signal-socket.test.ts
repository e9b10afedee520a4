import { EventEmitter } from 'node:events';
import { type ViewerMessage } from '@humancast/protocol';
import { createLogger, HumancastError } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { type ReceivedMessage, SignalSocket } from './signal-socket.js';
import type { ViewerConnection } from './viewer-connection.js';

/** The members of a WebSocket that SignalSocket uses; the test sets `bufferedAmount`. */
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
  receive(message: ViewerMessage): void {
    this.emit('message', Buffer.from(JSON.stringify(message)), false);
  }
}

function socketWith(
  onMessage: (message: ReceivedMessage) => void | Promise<void> = () => {},
  onError: (code: string) => void = () => {},
) {
  const ws = new FakeWebSocket();
  const options = { heartbeatMs: 60_000, messagesPerSecond: 10, logger: createLogger('test', 'silent'), onError };
  const socket = new SignalSocket(ws as unknown as WebSocket, options);
  socket.onMessage(onMessage);
  return { ws, socket };
}

describe('SignalSocket', () => {
  it('handles messages one at a time, even if one is slow or fails', async () => {
    const seen: string[] = [];
    const slow = Promise.withResolvers<void>();
    const done = Promise.withResolvers<void>();
    const onMessage = async ({ type }: ReceivedMessage) => {
      seen.push(`${type} begins`);
      if (type === 'interrupt') await slow.promise;
      if (type === 'interrupt') throw new HumancastError('session_ended');
      seen.push(`${type} ends`);
      if (type === 'leave') done.resolve();
    };
    const { ws, socket } = socketWith(onMessage, (code) => seen.push(code));
    socket.viewer = {} as ViewerConnection;
    ws.receive({ type: 'interrupt' });
    ws.receive({ type: 'ping' });
    ws.receive({ type: 'leave' });
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

  it('terminates a connection whose viewer does not read', () => {
    const { ws, socket } = socketWith();
    ws.bufferedAmount = 1_000_000;
    socket.send({ type: 'pong' });
    expect(ws.terminated).toBe(false);
    ws.bufferedAmount = 1_048_577;
    socket.send({ type: 'pong' });
    expect(ws.terminated).toBe(true);
    socket.send({ type: 'pong' });
    expect(ws.sent).toHaveLength(2);
  });

  it('sends and handles no messages once it closes', async () => {
    const seen: string[] = [];
    const { ws, socket } = socketWith(({ type }) => void seen.push(type));
    socket.fail('replaced');
    socket.send({ type: 'pong' });
    ws.receive({ type: 'ping' });
    await Promise.resolve();
    expect(ws.sent.map((text) => JSON.parse(text))).toEqual([
      expect.objectContaining({ type: 'error', code: 'replaced' }),
    ]);
    expect(ws.closed).toEqual([4409, 'replaced']);
    expect(seen).toEqual([]);
    socket.terminate();
  });

  it('calls the close listener once', () => {
    let closed = 0;
    const { ws, socket } = socketWith();
    socket.onceClosed(() => closed++);
    socket.terminate();
    ws.emit('close');
    expect(closed).toBe(1);
  });
});
