import { EventEmitter } from 'node:events';
import { unpackHeard } from '@humancast/shared';
import { afterEach, describe, expect, it } from 'vitest';
import type { WebSocket } from 'ws';
import { Listener } from './listener.js';

/** A peer that reads only when the test says so. */
class FakeSocket extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: (string | Buffer)[] = [];
  readonly #written: (() => void)[] = [];
  code: number | undefined;

  send(data: string | Buffer, written = () => {}) {
    this.sent.push(data);
    this.bufferedAmount += data.length;
    this.#written.push(written);
  }
  read() {
    this.bufferedAmount = 0;
    for (const written of this.#written.splice(0)) written();
  }
  close(code: number) {
    this.code = code;
  }
  terminate() {}
  ping() {}
  get frames() {
    return this.sent.flatMap((data) => (typeof data === 'string' ? [] : [unpackHeard(data).heard]));
  }
}

const sockets: FakeSocket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.emit('close');
});

function listen() {
  const socket = new FakeSocket();
  sockets.push(socket);
  let droppedMs = 0;
  const options = {
    rate: 16_000,
    heartbeatMs: 60_000,
    onClosed: () => {},
    onDropped: (ms: number) => (droppedMs += ms),
  };
  const listener = new Listener(socket as unknown as WebSocket, options);
  const hear = (frame: number) =>
    listener.hear({ viewer: 'vw_12345678', epoch: 1, frame, atMs: 20 * frame }, Buffer.alloc(640));
  return { socket, listener, hear, droppedMs: () => droppedMs };
}

describe('Listener', () => {
  it('passes frames on at once to a listener that reads', () => {
    const { socket, hear } = listen();
    for (let frame = 0; frame < 200; frame++) {
      hear(frame);
      socket.read();
    }
    expect(socket.frames.map(({ frame }) => frame)).toEqual(Array.from({ length: 200 }, (_, i) => i));
    expect(socket.frames.some(({ droppedMs }) => droppedMs !== undefined)).toBe(false);
  });

  it('drops the oldest audio of a slow listener, counts it, and says how much', () => {
    const { socket, hear, droppedMs } = listen();
    for (let frame = 0; frame < 500; frame++) hear(frame);
    const sentAtFirst = socket.frames.length;
    for (let i = 0; i < 20; i++) socket.read();
    const { frames } = socket;
    expect(frames.length).toBe(sentAtFirst + 100);
    const next = frames[sentAtFirst];
    expect(next).toMatchObject({ frame: 400, droppedMs: 20 * (400 - sentAtFirst) });
    expect(droppedMs()).toBe(20 * (400 - sentAtFirst));
    expect(frames.at(-1)?.frame).toBe(499);
  });

  it('is closed when it sends anything', () => {
    const { socket } = listen();
    socket.emit('message', Buffer.from('hello'));
    expect(socket.code).toBe(4400);
  });
});
