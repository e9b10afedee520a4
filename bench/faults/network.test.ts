import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Network } from './network.ts';

/** A server that answers each request with the same bytes, in order. */
describe('Network', () => {
  const requests: string[] = [];
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket);
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      requests.push(text);
      socket.write(text);
    });
    socket.on('error', () => {});
  });
  let network: Network;
  let port: number;
  let links: number[];

  beforeEach(async () => {
    requests.length = 0;
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('no port');
    network = new Network();
    port = await network.open({ service: 'sender', instance: 1, redis: 'queue' }, address.port);
    links = network.linksOf('sender', 'queue', 1);
  });

  afterEach(async () => {
    await network.close();
    for (const socket of accepted.splice(0)) socket.destroy();
    server.close();
  });

  const open = async () => {
    const socket = connect(port, '127.0.0.1');
    socket.setEncoding('utf8');
    await once(socket, 'connect');
    return socket;
  };
  const answer = async (socket: Socket) => String((await once(socket, 'data'))[0]);

  it('an intact link passes both directions', async () => {
    const socket = await open();
    socket.write('a');
    expect(await answer(socket)).toBe('a');
    expect(network.linksOf('sender', 'media')).toEqual([]);
  });

  it('a cut link holds requests back, and delivers them when mended', async () => {
    const [socket, witness] = [await open(), await open()];
    socket.write('a');
    expect(await answer(socket)).toBe('a');
    await network.cut(links, { requests: true, replies: false });
    socket.write('b');
    witness.write('w');
    await network.mend(links, { reset: false });
    expect(await answer(socket)).toBe('b');
    expect(await answer(witness)).toBe('w');
  });

  it('a link cut in the reply direction still delivers requests', async () => {
    const socket = await open();
    socket.write('a');
    await answer(socket);
    await network.cut(links, { requests: false, replies: true });
    const answered = answer(socket);
    socket.write('b');
    await expect.poll(() => requests).toEqual(['a', 'b']);
    expect(socket.bytesRead).toBe(1);
    await network.mend(links, { reset: false });
    expect(await answered).toBe('b');
  });

  it('mending with a reset breaks the connections, and delivers nothing that was held back', async () => {
    const socket = await open();
    socket.write('a');
    await answer(socket);
    await network.cut(links, { requests: true, replies: true });
    socket.write('b');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => {});
    await network.mend(links, { reset: true });
    await closed;
    const next = await open();
    next.write('c');
    expect(await answer(next)).toBe('c');
    expect(requests).toEqual(['a', 'c']);
  });
});
