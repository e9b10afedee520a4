import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { Candidate, Message, parseMessage } from 'werift';
import { IceLiteAgent } from './ice-lite.js';

/** Containers may come without IPv6. */
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

async function openAgent(hostAddress: string) {
  const seen: string[] = [];
  const agent = new IceLiteAgent(
    { hostAddresses: [hostAddress] },
    { datagram: (data) => seen.push(data.toString()), checked: () => seen.push('check') },
  );
  cleanups.push(() => agent.close());
  const [line = ''] = await agent.gather();
  return { agent, seen, port: Candidate.fromSdp(line.slice('candidate:'.length)).port };
}

async function openPeer(address: string): Promise<Socket> {
  const socket = createSocket(address === '::1' ? 'udp6' : 'udp4');
  cleanups.push(() => socket.close());
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

/** A check as werift makes it: a second implementation. */
function check(username: string, password: string, nominate = false): Buffer {
  const request = new Message(BINDING, REQUEST).setAttribute('USERNAME', username).setAttribute('PRIORITY', 1);
  request.setAttribute('ICE-CONTROLLING', 1n);
  if (nominate) request.setAttribute('USE-CANDIDATE', null);
  return request.addMessageIntegrity(Buffer.from(password)).addFingerprint().bytes;
}

/** Sends, and waits for what comes back. */
async function exchange(socket: Socket, data: Buffer, port: number, address: string): Promise<Buffer> {
  const answer = once(socket, 'message');
  socket.send(data, port, address);
  const [datagram] = (await answer) as [Buffer];
  return datagram;
}

/** Every datagram sent before `socket`'s check has been dealt with when this returns: one socket keeps its order. */
async function settle({ agent, port }: Awaited<ReturnType<typeof openAgent>>, socket: Socket, address: string) {
  await exchange(socket, check(`${agent.usernameFragment}:x`, agent.password), port, address);
}

describe('a check', () => {
  it.each(LOOPBACKS)('from %s is answered with the address it came from', async (address) => {
    const { agent, port } = await openAgent(address);
    const peer = await openPeer(address);
    const answer = await exchange(peer, check(`${agent.usernameFragment}:peer`, agent.password), port, address);
    const message = parseMessage(answer, Buffer.from(agent.password));
    expect(message?.messageClass).toBe(RESPONSE);
    expect(message?.getAttributeValue('XOR-MAPPED-ADDRESS')).toEqual([address, peer.address().port]);
  });

  it('by somebody who does not know the password counts for nothing', async () => {
    const opened = await openAgent('127.0.0.1');
    const { agent, port, seen } = opened;
    const [stranger, viewer] = [await openPeer('127.0.0.1'), await openPeer('127.0.0.1')];
    stranger.send(check(`${agent.usernameFragment}:peer`, 'a guess', true), port, '127.0.0.1');
    stranger.send(check('another:peer', agent.password, true), port, '127.0.0.1');
    stranger.send('data', port, '127.0.0.1');
    stranger.send(check(`${agent.usernameFragment}:peer`, agent.password).subarray(0, 40), port, '127.0.0.1');
    await settle(opened, viewer, '127.0.0.1');
    expect(seen).toEqual(['check']);
    expect(agent.remoteAddress).toBe(`127.0.0.1:${viewer.address().port}`);
  });
});

describe('what is sent', () => {
  it('goes where the viewer nominated last', async () => {
    const { agent, port } = await openAgent('127.0.0.1');
    const [one, two] = [await openPeer('127.0.0.1'), await openPeer('127.0.0.1')];
    const arrivals = async (socket: Socket) => {
      const arrived = once(socket, 'message');
      agent.memory().write('packet');
      agent.send(6);
      const [data] = (await arrived) as [Buffer];
      return data.toString();
    };
    const username = `${agent.usernameFragment}:peer`;
    await exchange(one, check(username, agent.password), port, '127.0.0.1');
    expect(await arrivals(one)).toBe('packet');
    await exchange(two, check(username, agent.password), port, '127.0.0.1');
    expect(await arrivals(one)).toBe('packet');
    await exchange(two, check(username, agent.password, true), port, '127.0.0.1');
    expect(await arrivals(two)).toBe('packet');
    await exchange(one, check(username, agent.password, true), port, '127.0.0.1');
    expect(await arrivals(one)).toBe('packet');
  });

  it('goes nowhere without a check, and after the end', async () => {
    const { agent } = await openAgent('127.0.0.1');
    agent.send(10);
    agent.close();
    agent.close();
    agent.send(10);
    agent.sendBuffer(Buffer.alloc(10));
    expect(agent.remoteAddress).toBeUndefined();
  });
});

describe('gathering', () => {
  it('fails when no address can be used', async () => {
    const agent = new IceLiteAgent({ hostAddresses: ['192.0.2.123'] }, { datagram: () => {}, checked: () => {} });
    await expect(agent.gather()).rejects.toThrow('192.0.2.123');
  });

  it('uses what can be used', async () => {
    const agent = new IceLiteAgent(
      { hostAddresses: ['192.0.2.123', '127.0.0.1'] },
      { datagram: () => {}, checked: () => {} },
    );
    cleanups.push(() => agent.close());
    const candidates = await agent.gather();
    expect(candidates).toEqual([expect.stringMatching(/^candidate:1 1 udp \d+ 127\.0\.0\.1 \d+ typ host$/)]);
  });

  it('says so when all ports of its range are taken', async () => {
    const taken = await openPeer('127.0.0.1');
    const { port } = taken.address();
    const agent = new IceLiteAgent(
      { hostAddresses: ['127.0.0.1'], portRange: [port, port] },
      { datagram: () => {}, checked: () => {} },
    );
    await expect(agent.gather()).rejects.toThrow();
  });
});
