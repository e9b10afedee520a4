import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Message } from 'werift';
import { loopbackSockets } from '../../testing/loopback-sockets.js';
import { IceLiteAgent } from './ice-lite.js';
import type { MediaSockets, MediaSocketsOptions } from './media-sockets.js';
import { dgramSockets, type UdpSockets } from './udp-sockets.js';

/** Containers may not have IPv6. */
const LOOPBACKS = ['127.0.0.1', '::1'].filter((address) =>
  Object.values(networkInterfaces()).some((list) => list?.some((entry) => entry.address === address)),
);
/** STUN method and classes (RFC 8489 §5). */
const [BINDING, REQUEST, RESPONSE] = [1, 0, 0x100];
const BINDING_REQUEST = 1;
const PROOF_MS = 30_000;
/** The viewers' side, which answers checks. */
const REMOTE = { usernameFragment: 'abcd', password: 'a-password-of-22-letters' };

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** Sockets of a process; datagrams that belong to nobody are in `problems`. */
function openSockets(options: Partial<MediaSocketsOptions> = {}) {
  const problems: string[] = [];
  const sockets = loopbackSockets({ ...options, onProblem: ({ reason }) => problems.push(reason) });
  cleanups.push(() => sockets.close());
  return { sockets, problems };
}

/** An agent that keeps what it is given; `authentic …` proves the address that it comes from. */
async function openAgent(sockets: MediaSockets, time = { ms: 0 }) {
  const seen: string[] = [];
  const problems: string[] = [];
  const agent = new IceLiteAgent(
    { sockets, nowMs: () => time.ms, onProblem: ({ reason }) => problems.push(reason) },
    {
      datagram: (data) => {
        seen.push(data.toString());
        return data.toString().startsWith('authentic');
      },
      alive: () => {},
    },
  );
  cleanups.push(() => agent.close());
  const [line = ''] = await agent.gather();
  return { agent, seen, problems, port: Number(/ (\d+) typ host$/.exec(line)?.[1]) };
}

type Opened = Awaited<ReturnType<typeof openAgent>>;

/** A viewer's socket at `127.0.0.1` or another address, and the datagrams that came to it. */
async function openPeer(address = '127.0.0.1', port = 0) {
  const socket = createSocket(address === '::1' ? 'udp6' : 'udp4');
  let isOpen = true;
  const close = () => {
    if (isOpen) socket.close();
    isOpen = false;
  };
  cleanups.push(close);
  socket.bind(port, address);
  await once(socket, 'listening');
  const received: Buffer[] = [];
  socket.on('message', (data) => received.push(data));
  return { socket, received, address, close, remoteAddress: `${address}:${socket.address().port}` };
}

type Peer = Awaited<ReturnType<typeof openPeer>>;

function check({ agent: { local } }: Opened, password = local.password, fragment = local.usernameFragment): Buffer {
  const request = new Message(BINDING, REQUEST)
    .setAttribute('USERNAME', `${fragment}:${REMOTE.usernameFragment}`)
    .setAttribute('PRIORITY', 1)
    .setAttribute('ICE-CONTROLLING', 1n)
    .setAttribute('USE-CANDIDATE', null);
  return request.addMessageIntegrity(Buffer.from(password)).addFingerprint().bytes;
}

async function next(socket: Socket): Promise<Buffer> {
  const [datagram] = (await once(socket, 'message')) as [Buffer];
  return datagram;
}

/** Sends a check and waits for its answer, and so until all earlier datagrams of the peer have been read. */
async function nominate(peer: Peer, opened: Opened): Promise<void> {
  const answer = next(peer.socket);
  peer.socket.send(check(opened), opened.port, peer.address);
  await answer;
}

/** Waits until all that was sent to this port has been read, because a socket keeps the order. */
async function settle(sockets: MediaSockets, address = '127.0.0.1'): Promise<void> {
  const opened = await openAgent(sockets);
  const peer = await openPeer(address);
  await nominate(peer, opened);
  opened.agent.close();
  peer.close();
}

async function send(peer: Peer, opened: Opened, text: string): Promise<void> {
  const before = opened.seen.length;
  peer.socket.send(text, opened.port, peer.address);
  await vi.waitFor(() => expect(opened.seen.length).toBeGreaterThan(before));
}

function sendMedia({ agent: { writer } }: Opened, packet: string): void {
  writer.send(writer.memory.write(packet, writer.begin()));
  writer.flush();
}

function texts({ received }: Peer): string[] {
  return received.map(String).filter((text) => text.startsWith('media'));
}

function answerTo(probe: Buffer): Buffer {
  const response = new Message(BINDING, RESPONSE, Buffer.from(probe.subarray(8, 20)));
  response.setAttribute('XOR-MAPPED-ADDRESS', ['127.0.0.1', 1]);
  return response.addMessageIntegrity(Buffer.from(REMOTE.password)).addFingerprint().bytes;
}

/** Waits for the agent's own check, and answers it. */
async function answerProbe(peer: Peer, { port }: Opened): Promise<void> {
  const isProbe = (datagram: Buffer) => datagram.length > 20 && datagram.readUInt16BE(0) === BINDING_REQUEST;
  const probe = await vi.waitFor(() => {
    const found = peer.received.findLast(isProbe);
    if (!found) throw new Error('no check came');
    return found;
  });
  peer.socket.send(answerTo(probe), port, peer.address);
}

describe('viewers of one socket', () => {
  it.each(LOOPBACKS)('get and send only their own datagrams: %s', async (address) => {
    const { sockets, problems } = openSockets({ hostAddresses: [address] });
    const viewers = await Promise.all(
      Array.from({ length: 3 }, async () => ({ opened: await openAgent(sockets), peer: await openPeer(address) })),
    );
    for (const { opened, peer } of viewers) await nominate(peer, opened);
    for (const [i, { opened, peer }] of viewers.entries()) {
      await send(peer, opened, `from ${i}`);
      sendMedia(opened, `media ${i}`);
    }
    expect(new Set(viewers.map(({ opened }) => opened.port)).size).toBe(1);
    for (const [i, { opened, peer }] of viewers.entries()) {
      await vi.waitFor(() => expect(texts(peer)).toEqual([`media ${i}`]));
      expect(opened.seen).toEqual([`from ${i}`]);
      expect(opened.problems).toEqual([]);
    }
    expect(problems).toEqual([]);
  });

  it('need no descriptor of their own', async () => {
    const { sockets } = openSockets();
    await sockets.open();
    const before = readdirSync('/proc/self/fd').length;
    await Promise.all(Array.from({ length: 50 }, () => openAgent(sockets)));
    expect(readdirSync('/proc/self/fd').length).toBe(before);
  });

  it('leave nothing behind when they are closed, also in the middle of an ICE restart', async () => {
    const { sockets } = openSockets();
    const opened = await Promise.all(Array.from({ length: 5 }, () => openAgent(sockets)));
    for (const each of opened) for (let i = 0; i < 20; i++) await nominate(await openPeer(), each);
    for (const { agent } of opened) agent.restart(REMOTE);
    // Each agent has two fragments and 16 addresses.
    expect(sockets.size).toBe(5 * (2 + 16));
    for (const { agent } of opened) agent.close();
    expect(sockets.size).toBe(0);
  });
});

describe('a datagram from an unknown address', () => {
  it('is dropped and counted, unless it is a check with the right password', async () => {
    const { sockets, problems } = openSockets();
    const opened = await openAgent(sockets);
    const stranger = await openPeer();
    const datagrams = [
      Buffer.from('data'),
      Buffer.from([22, 254, 253]),
      check(opened, opened.agent.local.password, 'another'),
      check(opened).subarray(0, 40),
      check(opened, 'a guess'),
      new Message(BINDING, 0x10).addFingerprint().bytes,
    ];
    for (const datagram of datagrams) stranger.socket.send(datagram, opened.port, '127.0.0.1');
    await settle(sockets);
    expect(problems.sort()).toEqual(['unauthenticated', ...Array(4).fill('unknown-source')]);
    expect(opened.problems).toEqual(['unauthenticated']);
    expect(opened.agent.remoteAddress).toBeUndefined();
    expect(stranger.received).toEqual([]);
    // The address has not been claimed, so that what follows is unknown, too.
    stranger.socket.send('more', opened.port, '127.0.0.1');
    await settle(sockets);
    expect(opened.seen).toEqual([]);
  });

  it('neither delays nor displaces a viewer, however many come', async () => {
    const { sockets, problems } = openSockets();
    const time = { ms: 0 };
    const [known, victim] = [await openAgent(sockets, time), await openAgent(sockets, time)];
    const [viewer, flooder] = [await openPeer(), await openPeer()];
    await nominate(viewer, known);
    const forged = [
      check(known, known.agent.local.password, 'another'),
      check(victim, 'a guess'),
      Buffer.alloc(1200, 0xff),
    ];
    for (let i = 0; i < 1500; i++) {
      flooder.socket.send(forged[i % 3] as Buffer, known.port, '127.0.0.1');
      if (i % 100 === 99) await settle(sockets);
    }
    // The flood names one agent, whose limit it uses up; others are found without a limit.
    await send(viewer, known, 'still here');
    const newcomer = await openAgent(sockets, time);
    const peer = await openPeer();
    await nominate(peer, newcomer);
    expect(newcomer.agent.remoteAddress).toBe(peer.remoteAddress);
    expect(problems.length).toBe(1000);
    expect(victim.problems.filter((reason) => reason === 'unauthenticated')).toHaveLength(400);
    expect(victim.problems.filter((reason) => reason === 'rate-limited')).toHaveLength(100);
    expect(flooder.received).toEqual([]);
  });
});

describe('an address that another viewer has used', () => {
  it('belongs to the next agent that gets a check from it, if its owner is not proven to be there', async () => {
    const { sockets } = openSockets();
    const [first, second] = [await openAgent(sockets), await openAgent(sockets)];
    const peer = await openPeer();
    await nominate(peer, first);
    await nominate(peer, second);
    await send(peer, second, 'for the second');
    expect(first.seen).toEqual([]);
    expect(first.agent.remoteAddress).toBeUndefined();
    expect(second.agent.remoteAddress).toBe(peer.remoteAddress);
  });

  it('stays with an owner that is proven to be there when another agent gets a forged check', async () => {
    const { sockets } = openSockets();
    const [owner, forger] = [await openAgent(sockets), await openAgent(sockets)];
    const peer = await openPeer();
    await nominate(peer, owner);
    await send(peer, owner, 'authentic');
    // The forger knows its own password, but cannot answer, because the answers do not come to it.
    forger.agent.setRemote({ ...REMOTE, password: 'the password of the forger' });
    await nominate(peer, forger);
    await answerProbe(peer, forger);
    await send(peer, owner, 'authentic, too');
    sendMedia(owner, 'media of the owner');
    await vi.waitFor(() => expect(texts(peer)).toEqual(['media of the owner']));
    expect(forger.seen).toEqual([]);
  });

  it("moves to another agent at once when its viewer answers that agent's own check", async () => {
    const { sockets } = openSockets();
    const [first, second] = [await openAgent(sockets), await openAgent(sockets)];
    const peer = await openPeer();
    await nominate(peer, first);
    await send(peer, first, 'authentic');
    await nominate(peer, second);
    // The viewer's answer to the offer comes later than its checks.
    second.agent.setRemote(REMOTE);
    await answerProbe(peer, second);
    await vi.waitFor(() => expect(first.agent.remoteAddress).toBeUndefined());
    await send(peer, second, 'for the second');
    sendMedia(first, 'media of the first');
    sendMedia(second, 'media of the second');
    await vi.waitFor(() => expect(texts(peer)).toEqual(['media of the second']));
    expect(first.seen).toEqual(['authentic']);
  });

  it.each([
    ['is closed', ({ agent }: Opened) => agent.close()],
    [
      'has been silent for long',
      (_: Opened, time: { ms: number }) => {
        time.ms += PROOF_MS;
      },
    ],
  ])('is free again when its owner %s', async (_what, end) => {
    const { sockets } = openSockets();
    const time = { ms: 0 };
    const [first, second] = [await openAgent(sockets, time), await openAgent(sockets, time)];
    const peer = await openPeer();
    await nominate(peer, first);
    await send(peer, first, 'authentic');
    await nominate(peer, second);
    end(first, time);
    await nominate(peer, second);
    await send(peer, second, 'for the second');
    expect(first.seen).toEqual(['authentic']);
  });

  it('belongs to a waiting agent as soon as its owner is closed, without another check', async () => {
    const { sockets } = openSockets();
    const [first, second] = [await openAgent(sockets), await openAgent(sockets)];
    const peer = await openPeer();
    await nominate(peer, first);
    await send(peer, first, 'authentic');
    await nominate(peer, second);
    first.agent.close();
    await send(peer, second, 'for the second');
    second.agent.close();
    expect(sockets.size).toBe(0);
  });
});

describe('an ICE restart', () => {
  it('is reached by both fragments until the first check with the new one', async () => {
    const { sockets, problems } = openSockets();
    const opened = await openAgent(sockets);
    const [peer, moved] = [await openPeer(), await openPeer()];
    await nominate(peer, opened);
    const before = check(opened);
    opened.agent.restart(REMOTE);
    const answer = next(peer.socket);
    peer.socket.send(before, opened.port, '127.0.0.1');
    await answer;
    await nominate(moved, opened);
    peer.socket.send(before, opened.port, '127.0.0.1');
    await settle(sockets);
    expect(problems).toEqual(['unauthenticated']);
    await send(moved, opened, 'from the new address');
    expect(sockets.size).toBe(1 + 2);
  });
});

describe('a socket that fails', () => {
  it('is opened again on the same port, and viewers go on', async () => {
    const opened: Socket[] = [];
    const sending: UdpSockets = {
      open: async (address, port) => {
        const socket = await dgramSockets.open(address, port);
        opened.push(socket);
        return socket;
      },
      createWriter: () => dgramSockets.createWriter(),
      cork: () => {},
      uncork: () => {},
    };
    const { sockets } = openSockets({ packetPath: { ...loopbackSockets().packetPath, sockets: sending } });
    const viewer = await openAgent(sockets);
    const peer = await openPeer();
    await nominate(peer, viewer);
    // The second fails at once after it is opened, and the third is opened a second later.
    for (let failures = 1; failures <= 2; failures++) {
      opened.at(-1)?.emit('error', new Error('recvmsg ECONNABORTED'));
      expect(() => {
        sendMedia(viewer, 'media without a socket');
        viewer.agent.sendBuffer(Buffer.from('media without a socket'));
      }).not.toThrow();
      await vi.waitFor(() => expect(opened.length).toBe(failures + 1), 5000);
      await vi.waitFor(async () => {
        await nominate(peer, viewer);
        await send(peer, viewer, `after ${failures}`);
      });
      sendMedia(viewer, `media after ${failures}`);
      await vi.waitFor(() => expect(texts(peer)).toContain(`media after ${failures}`));
    }
    expect(viewer.seen).toEqual(['after 1', 'after 2']);
    expect(opened.at(-1)?.address().port).toBe(viewer.port);
  });
});

describe('open()', () => {
  it('rejects if no address can be bound, and can be called again', async () => {
    const { sockets } = openSockets({ hostAddresses: ['192.0.2.123'] });
    await expect(sockets.open()).rejects.toThrow('192.0.2.123');
    await expect(sockets.open()).rejects.toThrow('192.0.2.123');
  });

  it('offers the addresses that can be bound', async () => {
    const { sockets } = openSockets({ hostAddresses: ['192.0.2.123', '127.0.0.1'] });
    const agent = new IceLiteAgent({ sockets }, { datagram: () => false, alive: () => {} });
    cleanups.push(() => agent.close());
    expect(await agent.gather()).toEqual([expect.stringMatching(/^candidate:1 1 udp \d+ 127\.0\.0\.1 \d+ typ host$/)]);
  });

  it('offers public addresses with the port of the socket of their family', async () => {
    const { sockets } = openSockets({ announcedAddresses: ['203.0.113.5', '2001:db8::5'] });
    const [own, announced, ...others] = await sockets.open();
    expect(announced).toEqual({ address: '203.0.113.5', port: own?.port });
    expect(others).toEqual([]);
  });

  it('takes the first free port of the range, and rejects if there is none', async () => {
    const { port } = (await openPeer()).socket.address();
    const range = [port, port] as const;
    const { sockets } = openSockets({ portRange: range });
    await expect(sockets.open()).rejects.toMatchObject({ cause: new RegExp(`UDP port ${port} is in use`) });
    const wider = openSockets({ portRange: [port, Math.min(port + 20, 65_535)] }).sockets;
    const [socket] = await wider.open();
    expect(socket?.port).toBeGreaterThan(port);
  });

  it('rejects after close(), also while the sockets are being opened', async () => {
    const { sockets } = openSockets();
    const opening = sockets.open();
    sockets.close();
    await expect(opening).rejects.toThrow();
    await expect(sockets.open()).rejects.toThrow();
  });
});
