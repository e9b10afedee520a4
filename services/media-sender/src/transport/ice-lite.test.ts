import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import { Candidate, Message, parseMessage } from 'werift';
import { loopbackSockets } from '../../testing/loopback-sockets.js';
import type { DatagramProblem } from './datagram-problem.js';
import { IceLiteAgent } from './ice-lite.js';
import type { MediaSockets, MediaSocketsOptions } from './media-sockets.js';
import { namedFragment, readStun } from './stun.js';

/** Containers may not have IPv6. */
const LOOPBACKS = ['127.0.0.1', '::1'].filter((address) =>
  Object.values(networkInterfaces()).some((list) => list?.some((entry) => entry.address === address)),
);

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** STUN method and classes (RFC 8489 §5). */
const BINDING = 1;
const REQUEST = 0;
const RESPONSE = 0x100;

function openSockets(options: Partial<MediaSocketsOptions>): MediaSockets {
  const sockets = loopbackSockets(options);
  cleanups.push(() => sockets.close());
  return sockets;
}

async function openAgent(hostAddress: string) {
  const seen: string[] = [];
  const problems: string[] = [];
  const time = { ms: 0 };
  const onProblem = ({ reason }: DatagramProblem) => problems.push(reason);
  const sockets = openSockets({ hostAddresses: [hostAddress], onProblem });
  const agent = new IceLiteAgent(
    { sockets, nowMs: () => time.ms, onProblem },
    {
      datagram: (data) => {
        if (data.toString() === 'throw') throw new Error('a fault of the reader');
        seen.push(data.toString());
        return data.toString() === 'authentic';
      },
      alive: (authentic) => seen.push(authentic ? 'proof' : 'alive'),
    },
  );
  cleanups.push(() => agent.close());
  const [line = ''] = await agent.gather();
  return { agent, seen, problems, time, port: Candidate.fromSdp(line.slice('candidate:'.length)).port };
}

async function openPeer(address: string): Promise<Socket> {
  const socket = createSocket(address === '::1' ? 'udp6' : 'udp4');
  cleanups.push(() => socket.close());
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

/** A check made by werift, a second implementation. */
function check(username: string, password: string, nominate = false): Buffer {
  const request = new Message(BINDING, REQUEST).setAttribute('USERNAME', username).setAttribute('PRIORITY', 1);
  request.setAttribute('ICE-CONTROLLING', 1n);
  if (nominate) request.setAttribute('USE-CANDIDATE', null);
  return request.addMessageIntegrity(Buffer.from(password)).addFingerprint().bytes;
}

function send({ writer }: IceLiteAgent, packet: string): void {
  const at = writer.begin();
  writer.send(writer.memory.write(packet, at));
  writer.flush();
}

/** Sends a datagram. @returns the answer. */
async function exchange(socket: Socket, data: Buffer, port: number, address: string): Promise<Buffer> {
  const answer = once(socket, 'message');
  socket.send(data, port, address);
  const [datagram] = (await answer) as [Buffer];
  return datagram;
}

/** Waits until all datagrams sent before on `socket` have been read, because a socket keeps the order. */
async function settle({ agent, port }: Awaited<ReturnType<typeof openAgent>>, socket: Socket, address: string) {
  await exchange(socket, check(`${agent.local.usernameFragment}:x`, agent.local.password), port, address);
}

describe('a check', () => {
  it.each(LOOPBACKS)('from %s is answered with its source address', async (address) => {
    const { agent, port } = await openAgent(address);
    const peer = await openPeer(address);
    const answer = await exchange(
      peer,
      check(`${agent.local.usernameFragment}:peer`, agent.local.password),
      port,
      address,
    );
    const message = parseMessage(answer, Buffer.from(agent.local.password));
    expect(message?.messageClass).toBe(RESPONSE);
    expect(message?.getAttributeValue('XOR-MAPPED-ADDRESS')).toEqual([address, peer.address().port]);
  });

  it('without the right password is ignored', async () => {
    const opened = await openAgent('127.0.0.1');
    const { agent, port, seen } = opened;
    const [stranger, viewer] = [await openPeer('127.0.0.1'), await openPeer('127.0.0.1')];
    stranger.send(check(`${agent.local.usernameFragment}:peer`, 'a guess', true), port, '127.0.0.1');
    stranger.send(check('another:peer', agent.local.password, true), port, '127.0.0.1');
    stranger.send('data', port, '127.0.0.1');
    stranger.send(
      check(`${agent.local.usernameFragment}:peer`, agent.local.password).subarray(0, 40),
      port,
      '127.0.0.1',
    );
    await settle(opened, viewer, '127.0.0.1');
    expect(seen).toEqual(['alive']);
    expect(agent.remoteAddress).toBe(`127.0.0.1:${viewer.address().port}`);
  });
});

describe('restart()', () => {
  it('accepts checks of both ICE sessions until the first one of the new session, and keeps its path', async () => {
    const opened = await openAgent('127.0.0.1');
    const { agent, port } = opened;
    const [peer, moved] = [await openPeer('127.0.0.1'), await openPeer('127.0.0.1')];
    const before = agent.local;
    await exchange(peer, check(`${before.usernameFragment}:abcd`, before.password, true), port, '127.0.0.1');
    const after = agent.restart({ usernameFragment: 'efgh', password: 'another-password-of-22' });
    expect(after).toBe(agent.local);
    expect(after.usernameFragment).not.toBe(before.usernameFragment);
    const old = await exchange(peer, check(`${before.usernameFragment}:abcd`, before.password), port, '127.0.0.1');
    expect(parseMessage(old, Buffer.from(before.password))?.messageClass).toBe(RESPONSE);
    expect(agent.remoteAddress).toBe(`127.0.0.1:${peer.address().port}`);
    const next = check(`${after.usernameFragment}:efgh`, after.password, true);
    const answer = await exchange(moved, next, port, '127.0.0.1');
    expect(parseMessage(answer, Buffer.from(after.password))?.messageClass).toBe(RESPONSE);
    expect(agent.remoteAddress).toBe(`127.0.0.1:${moved.address().port}`);
    moved.send(check(`${before.usernameFragment}:abcd`, before.password), port, '127.0.0.1');
    await settle(opened, moved, '127.0.0.1');
    expect(opened.problems).toEqual(['unauthenticated']);
  });
});

/** The viewer's side, which answers checks on request. */
const VIEWER = { usernameFragment: 'abcd', password: 'a-password-of-22-letters' };

async function nominate(opened: Awaited<ReturnType<typeof openAgent>>, socket: Socket) {
  const { agent, port } = opened;
  await exchange(socket, check(`${agent.local.usernameFragment}:abcd`, agent.local.password, true), port, '127.0.0.1');
}

/** A connection with keys, with its handshake over `socket`. */
async function openWithKeys(socket: Socket) {
  const opened = await openAgent('127.0.0.1');
  await nominate(opened, socket);
  socket.send('handshake', opened.port, '127.0.0.1');
  await settle(opened, socket, '127.0.0.1');
  opened.agent.requireProof();
  return opened;
}

const addressOf = (socket: Socket) => `127.0.0.1:${socket.address().port}`;

/** Waits for the agent's next own check among its answers. */
async function nextProbe(socket: Socket): Promise<Buffer> {
  for (;;) {
    const [datagram] = (await once(socket, 'message')) as [Buffer];
    if (datagram.readUInt16BE(0) === BINDING) return datagram;
  }
}

function answerTo(probe: Buffer, password: string): Buffer {
  const response = new Message(BINDING, RESPONSE, Buffer.from(probe.subarray(8, 20)));
  response.setAttribute('XOR-MAPPED-ADDRESS', ['127.0.0.1', 1]);
  return response.addMessageIntegrity(Buffer.from(password)).addFingerprint().bytes;
}

describe('a nominated path, once there are keys', () => {
  it('is selected only after something authentic has come over it', async () => {
    const [old, next] = [await openPeer('127.0.0.1'), await openPeer('127.0.0.1')];
    const opened = await openWithKeys(old);
    await nominate(opened, next);
    next.send('anything', opened.port, '127.0.0.1');
    await settle(opened, next, '127.0.0.1');
    expect(opened.agent.remoteAddress).toBe(addressOf(old));
    next.send('authentic', opened.port, '127.0.0.1');
    await settle(opened, next, '127.0.0.1');
    expect(opened.agent.remoteAddress).toBe(addressOf(next));
  });

  it('is selected as soon as it has answered a check of our own', async () => {
    const [old, next] = [await openPeer('127.0.0.1'), await openPeer('127.0.0.1')];
    const opened = await openWithKeys(old);
    opened.agent.setRemote(VIEWER);
    const [probe] = await Promise.all([nextProbe(next), nominate(opened, next)]);
    expect(parseMessage(probe, Buffer.from(VIEWER.password))?.getAttributeValue('USERNAME')).toBe(
      `abcd:${opened.agent.local.usernameFragment}`,
    );
    // A wrong password, another transaction or another address does not prove it.
    next.send(answerTo(probe, 'a guess'), opened.port, '127.0.0.1');
    next.send(answerTo(Buffer.alloc(20), VIEWER.password), opened.port, '127.0.0.1');
    old.send(answerTo(probe, VIEWER.password), opened.port, '127.0.0.1');
    await settle(opened, next, '127.0.0.1');
    await settle(opened, old, '127.0.0.1');
    expect(opened.agent.remoteAddress).toBe(addressOf(old));
    next.send(answerTo(probe, VIEWER.password), opened.port, '127.0.0.1');
    await settle(opened, next, '127.0.0.1');
    expect(opened.agent.remoteAddress).toBe(addressOf(next));
  });

  it('is given up if nothing authentic comes in time', async () => {
    const [old, next] = [await openPeer('127.0.0.1'), await openPeer('127.0.0.1')];
    const opened = await openWithKeys(old);
    opened.agent.setRemote(VIEWER);
    await nominate(opened, next);
    opened.time.ms += 10_001;
    opened.agent.probe(false);
    next.send('authentic', opened.port, '127.0.0.1');
    await settle(opened, next, '127.0.0.1');
    expect(opened.agent.remoteAddress).toBe(addressOf(old));
  });

  it('is selected at once if it was proven recently, but not if that was long ago', async () => {
    const [old, next] = [await openPeer('127.0.0.1'), await openPeer('127.0.0.1')];
    const opened = await openWithKeys(old);
    await nominate(opened, next);
    next.send('authentic', opened.port, '127.0.0.1');
    await settle(opened, next, '127.0.0.1');
    await nominate(opened, old);
    expect(opened.agent.remoteAddress).toBe(addressOf(old));
    opened.time.ms += 30_000;
    await nominate(opened, next);
    expect(opened.agent.remoteAddress).toBe(addressOf(old));
  });

  it('stays known while it is selected, however many others are checked', async () => {
    const first = await openPeer('127.0.0.1');
    const opened = await openWithKeys(first);
    for (let i = 0; i < 40; i++) await settle(opened, await openPeer('127.0.0.1'), '127.0.0.1');
    first.send('still here', opened.port, '127.0.0.1');
    await settle(opened, first, '127.0.0.1');
    expect(opened.seen).toContain('still here');
    expect(opened.agent.remoteAddress).toBe(addressOf(first));
  });
});

describe('alive()', () => {
  it('is called for a check or an indication on the selected path only', async () => {
    const [used, other] = [await openPeer('127.0.0.1'), await openPeer('127.0.0.1')];
    const opened = await openWithKeys(used);
    const indication = new Message(BINDING, 0x10).addFingerprint().bytes;
    await settle(opened, other, '127.0.0.1');
    opened.seen.length = 0;
    other.send(indication, opened.port, '127.0.0.1');
    await settle(opened, other, '127.0.0.1');
    expect(opened.seen).toEqual([]);
    used.send(indication, opened.port, '127.0.0.1');
    await settle(opened, used, '127.0.0.1');
    expect(opened.seen).toEqual(['alive', 'alive']);
  });

  it('is called as authentic for the answer to a check of our own', async () => {
    const used = await openPeer('127.0.0.1');
    const opened = await openWithKeys(used);
    opened.agent.setRemote(VIEWER);
    const arrived = nextProbe(used);
    opened.agent.probe(true);
    used.send(answerTo(await arrived, VIEWER.password), opened.port, '127.0.0.1');
    await settle(opened, used, '127.0.0.1');
    expect(opened.seen).toContain('proof');
  });
});

describe('a datagram', () => {
  it('for which the listener throws is counted, and the next one is read', async () => {
    const peer = await openPeer('127.0.0.1');
    const opened = await openAgent('127.0.0.1');
    await settle(opened, peer, '127.0.0.1');
    peer.send('throw', opened.port, '127.0.0.1');
    peer.send('next', opened.port, '127.0.0.1');
    await settle(opened, peer, '127.0.0.1');
    expect(opened.problems).toEqual(['failed']);
    expect(opened.seen).toContain('next');
  });

  it('of STUN beyond the rate limit of its path is not read', async () => {
    const peer = await openPeer('127.0.0.1');
    const opened = await openAgent('127.0.0.1');
    const message = check(`${opened.agent.local.usernameFragment}:x`, opened.agent.local.password);
    await exchange(peer, message, opened.port, '127.0.0.1');
    for (let i = 0; i < 80; i++) peer.send(message, opened.port, '127.0.0.1');
    const seen = async () => {
      const last = `data ${opened.seen.length}`;
      peer.send(last, opened.port, '127.0.0.1');
      while (opened.seen.at(-1) !== last) await new Promise((resolve) => setImmediate(resolve));
      return opened.seen.filter((what) => what === 'alive').length;
    };
    expect(await seen()).toBe(51);
    expect(opened.problems.filter((reason) => reason === 'rate-limited')).toHaveLength(30);
    opened.time.ms += 1000;
    peer.send(message, opened.port, '127.0.0.1');
    expect(await seen()).toBe(52);
  });

  it('of a handshake is answered with a few times its size at most while the path is unproven', async () => {
    const peer = await openPeer('127.0.0.1');
    const opened = await openAgent('127.0.0.1');
    await settle(opened, peer, '127.0.0.1');
    const before = opened.agent.packetsDropped;
    for (let i = 0; i < 100; i++) opened.agent.sendBuffer(Buffer.alloc(1000));
    expect(opened.agent.packetsDropped - before).toBeGreaterThan(80);
  });
});

describe('media', () => {
  it('is sent on the path that the viewer nominated last', async () => {
    const { agent, port } = await openAgent('127.0.0.1');
    const [one, two] = [await openPeer('127.0.0.1'), await openPeer('127.0.0.1')];
    const arrivals = async (socket: Socket) => {
      const arrived = once(socket, 'message');
      send(agent, 'packet');
      const [data] = (await arrived) as [Buffer];
      return data.toString();
    };
    const username = `${agent.local.usernameFragment}:peer`;
    await exchange(one, check(username, agent.local.password), port, '127.0.0.1');
    expect(await arrivals(one)).toBe('packet');
    await exchange(two, check(username, agent.local.password), port, '127.0.0.1');
    expect(await arrivals(one)).toBe('packet');
    await exchange(two, check(username, agent.local.password, true), port, '127.0.0.1');
    expect(await arrivals(two)).toBe('packet');
    await exchange(one, check(username, agent.local.password, true), port, '127.0.0.1');
    expect(await arrivals(one)).toBe('packet');
  });

  it('is not sent before a check or after close()', async () => {
    const { agent } = await openAgent('127.0.0.1');
    send(agent, 'packet');
    agent.close();
    agent.close();
    send(agent, 'packet');
    agent.sendBuffer(Buffer.alloc(10));
    expect(agent.remoteAddress).toBeUndefined();
  });
});

describe('readStun()', () => {
  const local = { usernameFragment: 'ours', password: 'password-of-ours-22-long' };
  const request = check('ours:theirs', local.password, true);
  const indication = new Message(BINDING, 0x10).addFingerprint().bytes;
  const response = answerTo(request, VIEWER.password);

  it(
    'accepts nothing forged or truncated and never throws',
    async () => {
      expect(readStun(request, local)).toMatchObject({ kind: 'request', useCandidate: true });
      expect(readStun(response, local, VIEWER)).toMatchObject({ kind: 'success' });
      expect(readStun(indication, local)).toEqual({ kind: 'indication' });
      const options = { corpus: [request, response, indication], runs: 20_000, seconds: 4, maxBytes: 2000 };
      const { runs } = await fuzz(options, (datagram) => {
        const named = namedFragment(datagram);
        const read = readStun(datagram, local, VIEWER);
        if (typeof read === 'string' || read.kind === 'indication') return;
        expect(named).toBe(read.kind === 'request' ? local.usernameFragment : undefined);
        // The length is recomputed, and FINGERPRINT is not protected; nothing else may differ.
        const valid = read.kind === 'request' ? request : response;
        const end = valid.length - 8;
        expect(datagram.subarray(4, end).equals(valid.subarray(4, end))).toBe(true);
      });
      expect(runs).toBeGreaterThan(100);
    },
    fuzzTimeoutMs(),
  );

  it('computes no hash of a message that does not name our fragment', () => {
    expect(readStun(check('other:theirs', local.password), local)).toBe('unauthenticated');
    expect(readStun(response, local)).toBe('unauthenticated');
  });
});
