import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { closeLast } from './close-last.js';

describe('closeLast()', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(() => {
    for (const cleanup of cleanups.splice(0)) cleanup();
  });

  it('ends the connection only after the client has ended it', async () => {
    const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    cleanups.push(() => server.close());
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connect((server.address() as { port: number }).port, '127.0.0.1');
    const [socket] = await accepted;
    const order: string[] = [];
    client.on('end', () => order.push('we ended'));
    socket.on('end', () => {
      order.push('the viewer ended');
      socket.end();
    });
    socket.resume();
    client.resume();
    closeLast(socket);
    socket.end();
    setTimeout(() => client.end(), 50);
    await once(client, 'close');
    expect(order).toEqual(['the viewer ended', 'we ended']);
  });

  it('delivers the close code if the client waits for the server to close', async () => {
    const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    cleanups.push(() => server.close());
    await once(server, 'listening');
    server.on('connection', (ws, request) => {
      closeLast(request.socket);
      ws.close(4408, 'idle_timeout');
    });
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as { port: number }).port}`);
    const [code, reason] = (await once(client, 'close')) as [number, Buffer];
    expect([code, String(reason)]).toEqual([4408, 'idle_timeout']);
  });

  it('resets the connection if the client never ends it', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    cleanups.push(() => server.close());
    await once(server, 'listening');
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const client = connect((server.address() as { port: number }).port, '127.0.0.1');
    client.resume();
    const [socket] = await accepted;
    closeLast(socket);
    socket.end();
    const [error] = (await once(client, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toBe('ECONNRESET');
  });
});
