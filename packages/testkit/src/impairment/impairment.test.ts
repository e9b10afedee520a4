import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ImpairedPath } from './impaired-path.js';
import { type Impairment, parseProfile, UNIMPAIRED } from './profile.js';
import { startTcpImpairment, startUdpImpairment } from './relay.js';

/** Sends packets of 1000 bytes, one every 10 ms, through an impaired path. */
function send(count: number, impairment: Partial<Impairment>, seed = 1) {
  const path = new ImpairedPath(seed);
  const arrivals = Array.from({ length: count }, (_, i) => path.send(1000, i * 10, { ...UNIMPAIRED, ...impairment }));
  return { arrivals, ...path.counts };
}

describe('parseProfile()', () => {
  it('reads phases, each changing the one before', () => {
    const [first, second, third] = parseProfile('loss=5% delay=25ms; 10s rate=0.5M queue=200ms; 12.5s dead');
    expect(first).toMatchObject({ atMs: 0, down: { loss: 0.05, delayMs: 25 }, up: { loss: 0, delayMs: 25 } });
    expect(second).toMatchObject({ atMs: 10_000, down: { loss: 0.05, rateBps: 500_000, queueMs: 200 } });
    expect(second?.up.rateBps).toBe(Number.POSITIVE_INFINITY);
    expect(third).toMatchObject({ atMs: 12_500, down: { isDead: true }, up: { isDead: true } });
  });

  it('impairs both directions with `both`', () => {
    expect(parseProfile('both loss=5% burst=1%/30%/80%')[0]?.up).toMatchObject({
      loss: 0.05,
      burst: { enter: 0.01, leave: 0.3, loss: 0.8 },
    });
  });

  it.each(['loss=5', 'loss=101%', 'delay=5', 'rate=0M', 'rate=fast', 'lag=5ms', 'loss=1%; rate=1M'])(
    'rejects %s',
    (line) => {
      expect(() => parseProfile(line)).toThrow();
    },
  );
});

describe('ImpairedPath', () => {
  it('makes the same decisions for the same seed, and others for another seed', () => {
    const impairment = { loss: 0.3, jitterMs: 10, duplicate: 0.1 };
    expect(send(500, impairment).arrivals).toEqual(send(500, impairment).arrivals);
    expect(send(500, impairment).arrivals).not.toEqual(send(500, impairment, 2).arrivals);
  });

  it('loses, duplicates and reorders the configured shares', () => {
    expect(send(20_000, { loss: 0.05 }).lost / 20_000).toBeCloseTo(0.05, 2);
    const copies = send(20_000, { duplicate: 0.1 }).arrivals.filter(({ length }) => length === 2);
    expect(copies.length / 20_000).toBeCloseTo(0.1, 2);
    const times = send(2000, { delayMs: 50, reorder: 0.1, jitterMs: 8 }).arrivals.flat();
    const overtaken = times.filter((ms, i) => ms < (times[i - 1] ?? 0));
    expect(overtaken.length).toBeGreaterThan(20);
  });

  it('loses packets in bursts', () => {
    const { arrivals, lost } = send(50_000, { burst: { enter: 0.01, leave: 0.2, loss: 1 } });
    const isLost = arrivals.map(({ length }) => length === 0);
    const bursts = isLost.filter((lostNow, i) => lostNow && !isLost[i - 1]).length;
    expect(lost / bursts).toBeGreaterThan(4);
    expect(lost / bursts).toBeLessThan(6);
  });

  it('keeps to its rate, with a bounded queue and in order', () => {
    // 1028 bytes every 10 ms are 822 kb/s.
    const { arrivals, queueDrops } = send(1000, { rateBps: 411_200, queueMs: 200 });
    expect(queueDrops / 1000).toBeCloseTo(0.5, 1);
    const times = arrivals.flat();
    expect(times).toEqual([...times].sort((a, b) => a - b));
    arrivals.forEach(([ms], i) => {
      if (ms !== undefined) expect(ms - i * 10).toBeLessThanOrEqual(221);
    });
  });
});

describe('impairment relay', () => {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });

  async function udpEcho(): Promise<number> {
    const socket = createSocket('udp4');
    socket.on('message', (data, { port, address }) => socket.send(data, port, address));
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    cleanups.push(() => socket.close());
    return socket.address().port;
  }

  it('carries datagrams of several clients both ways with the delay, and nothing while dead', async () => {
    const relay = await startUdpImpairment({ targetPort: await udpEcho(), profile: 'delay=20ms' });
    cleanups.push(() => relay.close());
    const clients = [createSocket('udp4'), createSocket('udp4')];
    cleanups.push(() => {
      for (const client of clients) client.close();
    });
    for (const [i, client] of clients.entries()) {
      const sentMs = performance.now();
      client.send(`hello ${i}`, relay.port, '127.0.0.1');
      const [data] = (await once(client, 'message')) as [Buffer];
      expect(data.toString()).toBe(`hello ${i}`);
      expect(performance.now() - sentMs).toBeGreaterThanOrEqual(39);
    }
    expect(relay.counts).toMatchObject({ down: { packets: 2, lost: 0 }, up: { packets: 2, lost: 0 } });
    relay.restart('dead');
    const [client] = clients;
    client?.send('lost', relay.port, '127.0.0.1');
    await expect.poll(() => relay.counts.up.lost).toBe(1);
    relay.restart('alive');
    client?.send('there', relay.port, '127.0.0.1');
    expect(String((await once(client ?? createSocket('udp4'), 'message'))[0])).toBe('there');
  });

  it('carries a TCP stream complete and in order despite losses', async () => {
    const server = createServer((socket) => socket.pipe(socket));
    const targetPort = await listening(server);
    const relay = await startTcpImpairment({ targetPort, profile: 'both loss=10% delay=1ms rate=20M' });
    cleanups.push(() => relay.close());
    const client = connect(relay.port, '127.0.0.1');
    const sent = Buffer.from(Array.from({ length: 20_000 }, (_, i) => i & 255));
    const received: Buffer[] = [];
    client.on('data', (data) => received.push(Buffer.from(data as Buffer)));
    client.write(sent);
    await expect.poll(() => Buffer.concat(received).length, { timeout: 15_000 }).toBe(sent.length);
    expect(Buffer.concat(received).equals(sent)).toBe(true);
    client.destroy();
  });

  it("delivers a connection's end after its data", async () => {
    const server = createServer((socket) => socket.end(Buffer.alloc(5000)));
    const targetPort = await listening(server);
    const relay = await startTcpImpairment({ targetPort, profile: 'delay=20ms' });
    cleanups.push(() => relay.close());
    const client = connect(relay.port, '127.0.0.1');
    let bytes = 0;
    client.on('data', (data) => {
      bytes += data.length;
    });
    await new Promise((resolve) => client.once('close', resolve));
    expect(bytes).toBe(5000);
  });

  it('strand() cuts off the clients known so far, and serves new ones', async () => {
    const server = createServer((socket) => socket.pipe(socket));
    const relay = await startTcpImpairment({ targetPort: await listening(server), profile: 'alive' });
    cleanups.push(() => relay.close());
    const echo = (client: Socket) =>
      new Promise<string>((resolve) => {
        client.once('data', (data) => resolve(String(data)));
        client.write('hello');
      });
    const old = connect(relay.port, '127.0.0.1');
    expect(await echo(old)).toBe('hello');
    relay.strand();
    let isClosed = false;
    old.once('close', () => {
      isClosed = true;
    });
    const answered = echo(old);
    const later = connect(relay.port, '127.0.0.1');
    expect(await Promise.race([answered, echo(later)])).toBe('hello');
    expect(isClosed).toBe(false);
    expect(old.bytesRead).toBe(5);
    for (const client of [old, later]) client.destroy();
  });

  async function listening(server: Server): Promise<number> {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => server.close());
    const address = server.address();
    return typeof address === 'object' && address ? address.port : 0;
  }
});
