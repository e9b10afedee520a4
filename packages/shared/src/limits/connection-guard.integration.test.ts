import { createServer, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type ConnectionLimits, guardConnections } from './connection-guard.js';
import { TrustedProxies } from './trusted-proxies.js';

const LIMITS: ConnectionLimits = {
  trustProxy: TrustedProxies.none,
  connectionLimit: 100,
  connectionsPerAddress: 100,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
};

describe('guardConnections()', () => {
  const servers: Server[] = [];
  const sockets: Socket[] = [];
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const server of servers.splice(0)) server.close();
  });

  async function start(limits: Partial<ConnectionLimits>) {
    const rejected: string[] = [];
    const server = createServer((_, response) => response.end('hello'));
    guardConnections(server, { ...LIMITS, ...limits }, (setting) => rejected.push(setting));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '::', resolve));
    return { server, rejected };
  }

  /** Connects from a loopback address. @returns The answer once the server has closed. */
  function visit(server: Server, from: string, text = ''): { socket: Socket; closed: Promise<string> } {
    const { port } = server.address() as { port: number };
    const socket = connect({ port, host: '127.0.0.1', localAddress: from });
    sockets.push(socket);
    let answer = '';
    socket.on('data', (data) => {
      answer += data;
    });
    socket.on('error', () => {});
    if (text !== '') socket.write(text);
    return { socket, closed: new Promise((resolve) => socket.once('close', () => resolve(answer))) };
  }

  const REQUEST = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n';
  async function answers(server: Server, from: string): Promise<boolean> {
    const { socket, closed } = visit(server, from, REQUEST);
    const answered = new Promise<boolean>((resolve) => socket.once('data', () => resolve(true)));
    return Promise.race([answered, closed.then(() => false)]);
  }

  it("closes connections beyond an address's limit, and no others", async () => {
    const { server, rejected } = await start({ connectionsPerAddress: 3 });
    for (let i = 0; i < 3; i++) expect(await answers(server, '127.0.0.2')).toBe(true);
    expect(await answers(server, '127.0.0.2')).toBe(false);
    expect(await answers(server, '127.0.0.3')).toBe(true);
    expect(rejected).toEqual(['CONNECTIONS_PER_ADDRESS']);
    const closed = new Promise((resolve) => server.once('connection', (socket) => socket.once('close', resolve)));
    // The next one is rejected, too, and a rejected connection holds no reservation.
    expect(await answers(server, '127.0.0.2')).toBe(false);
    await closed;
    sockets[0]?.destroy();
    await expect.poll(() => answers(server, '127.0.0.2')).toBe(true);
  });

  it("does not limit a trusted proxy's address", async () => {
    const trustProxy = TrustedProxies.parse('127.0.0.2') as TrustedProxies;
    const { server, rejected } = await start({ connectionsPerAddress: 1, trustProxy });
    for (let i = 0; i < 3; i++) expect(await answers(server, '127.0.0.2')).toBe(true);
    expect([await answers(server, '127.0.0.3'), await answers(server, '127.0.0.3')]).toEqual([true, false]);
    expect(rejected).toEqual(['CONNECTIONS_PER_ADDRESS']);
  });

  it('closes connections beyond the total limit', async () => {
    const { server, rejected } = await start({ connectionLimit: 2 });
    expect([await answers(server, '127.0.0.2'), await answers(server, '127.0.0.3')]).toEqual([true, true]);
    expect(await answers(server, '127.0.0.4')).toBe(false);
    expect(rejected).toEqual(['CONNECTION_LIMIT']);
  });

  it.each([
    ['nothing', ''],
    ['half a head', 'GET / HTTP/1.1\r\nHost: x\r\n'],
  ])('closes a connection that sends %s in time, even if it keeps trickling', async (_, start_) => {
    const { server } = await start({ headersTimeoutMs: 200 });
    const { socket, closed } = visit(server, '127.0.0.2', start_);
    const trickle = setInterval(() => start_ !== '' && socket.write('X-a: b\r\n'), 50);
    const answer = await closed;
    clearInterval(trickle);
    expect(answer).toContain('408 Request Timeout');
  });

  it('closes a request whose body does not arrive in time', async () => {
    const { server } = await start({ headersTimeoutMs: 200, requestTimeoutMs: 300 });
    server.removeAllListeners('request');
    server.on('request', (request) => request.resume());
    const head = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n';
    const { socket, closed } = visit(server, '127.0.0.2', head);
    const trickle = setInterval(() => socket.write('x'), 50);
    const answer = await closed;
    clearInterval(trickle);
    expect(answer).toContain('408 Request Timeout');
  });
});
