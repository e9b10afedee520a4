import { randomBytes, randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';
import { CongestionExtension } from '../rtp/congestion-extension.js';
import { MAX_PACKET_BYTES } from '../rtp/packet-writer.js';
import { RepairBudget } from '../rtp/repair-budget.js';
import { Retransmitter } from '../rtp/retransmitter.js';
import { RtpStream } from '../rtp/rtp-stream.js';
import { MASTER_KEY_BYTES, masterSaltBytes, type SrtpKeys, SrtpSender } from '../rtp/srtp.js';
import { NativeLibrary } from './native/library.js';
import { NativeSockets } from './native/native-sockets.js';
import { PacketBatch } from './native/packet-batch.js';
import { PacketMemory, SLOTS } from './native/packet-memory.js';
import { choosePacketPath, javascriptPath, type PacketPath } from './packet-path.js';
import type { DestinationWriter } from './udp-sockets.js';

const PATHS: [string, PacketPath][] = [
  ['native', choosePacketPath('native')],
  ['javascript', javascriptPath],
];
/** Containers may not have IPv6. */
const LOOPBACKS = ['127.0.0.1', '::1'].filter((address) =>
  Object.values(networkInterfaces()).some((list) => list?.some((entry) => entry.address === address)),
);
const [EIO, EPERM, EAGAIN, EMSGSIZE, ENOBUFS] = [5, 1, 11, 90, 105];
const keys: SrtpKeys = {
  profile: 'AEAD_AES_128_GCM',
  masterKey: randomBytes(MASTER_KEY_BYTES),
  masterSalt: randomBytes(masterSaltBytes('AEAD_AES_128_GCM')),
};

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** A viewer that keeps the packets that it receives. */
async function openViewer(address: string) {
  const socket = createSocket({ type: address === '::1' ? 'udp6' : 'udp4', recvBufferSize: 1 << 20 });
  cleanups.push(() => socket.close());
  const received: Buffer[] = [];
  let wake = () => {};
  socket.on('message', (packet) => {
    received.push(packet);
    wake();
  });
  socket.bind(0, address);
  await once(socket, 'listening');
  /** Waits for this many packets. @returns all received ones; an additional late one appears in the next call. */
  const take = async (packets: number) => {
    while (received.length < packets) {
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      await promise;
    }
    return received.splice(0);
  };
  return { port: socket.address().port, take };
}

async function openWriter(
  { sockets }: Pick<PacketPath, 'sockets'>,
  address: string,
  port: number,
  onRefused?: () => void,
  maySend?: () => boolean,
) {
  const socket = await sockets.open(address, 0, onRefused);
  const writer = sockets.createWriter(maySend);
  const destination = { socket, address, port };
  writer.destination = destination;
  let isOpen = true;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    writer.destination = undefined;
    socket.close();
  };
  cleanups.push(close);
  return { socket, writer, destination, close };
}

function write(writer: DestinationWriter, packet: Buffer): void {
  const at = writer.begin();
  packet.copy(writer.memory, at);
  writer.send(packet.length);
}

/** Sends video with retransmissions across wraps of both sequence numbers, and audio. @param settle waits for the packets sent. */
async function playSession(
  { crypto }: PacketPath,
  writer: DestinationWriter,
  settle: (packets: number) => Promise<void>,
) {
  const srtp = new SrtpSender(keys, crypto);
  const extension = new CongestionExtension(new BandwidthEstimator(), () => 65_500);
  const congestion = { extension, ids: { transportSequence: 5, absSendTime: undefined } };
  const streamOf = (ssrc: number, firstSequence: number) =>
    new RtpStream({ ssrc, payloadType: 96, srtp, writer, firstSequence, timestampOffset: 7, congestion });
  const video = new Retransmitter({
    original: streamOf(1, 65_500),
    rtx: streamOf(2, 65_530),
    budget: new RepairBudget(),
    historyPackets: 256,
  });
  const audio = streamOf(3, 65_000);
  let packets = 0;
  for (let frame = 0; frame < 60; frame++) {
    const pieces = 1 + (frame % 12);
    let sequence = 0;
    for (let i = 0; i < pieces; i++) {
      const payload = Buffer.alloc(i === pieces - 1 ? 1 + frame : 1000 + frame, frame);
      sequence = video.send(payload, 3000 * frame, i === pieces - 1);
    }
    writer.flush();
    audio.send(Buffer.alloc(100 + (frame % 3), frame), 960 * frame, false);
    writer.flush();
    packets += pieces + 1;
    if (frame % 4 === 3) {
      video.repeat([sequence, (sequence - 1) & 0xffff], 1000 * frame, 1);
      writer.flush();
      packets += 2;
    }
    await settle(packets);
  }
}

describe.each(LOOPBACKS)('a session over %s', (address) => {
  it('arrives as the same packets in the same order on both paths', async () => {
    const sessions = [];
    for (const [, path] of PATHS) {
      const viewer = await openViewer(address);
      const { writer } = await openWriter(path, address, viewer.port);
      const packets: Buffer[] = [];
      await playSession(path, writer, async (sent) => {
        packets.push(...(await viewer.take(sent - packets.length)));
      });
      sessions.push(packets);
    }
    expect(sessions[0]?.length).toBeGreaterThan(400);
    expect(sessions[0]).toEqual(sessions[1]);
  });
});

describe.each(PATHS)('a writer of the %s path', (_name, path) => {
  it.each(LOOPBACKS)('sends from the address and port of its socket: %s', async (address) => {
    const first = await openWriter(path, address, 9);
    const { port } = first.socket.address();
    await expect(path.sockets.open(address, port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    const peer = createSocket(address === '::1' ? 'udp6' : 'udp4');
    cleanups.push(() => peer.close());
    peer.bind(0, address);
    await once(peer, 'listening');
    first.writer.destination = { ...first.destination, port: peer.address().port };
    const came = once(peer, 'message');
    write(first.writer, Buffer.from('a packet'));
    first.writer.flush();
    const [data, remote] = (await came) as [Buffer, { port: number }];
    expect(data.toString()).toBe('a packet');
    expect(remote.port).toBe(port);
    const answered = once(first.socket, 'message');
    peer.send('an answer', port, address);
    expect(String(((await answered) as [Buffer])[0])).toBe('an answer');
  });

  it('open() rejects for an address that the machine does not have', async () => {
    await expect(path.sockets.open('192.0.2.123', 0)).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
  });

  it('sends queued packets to the old destination when the destination changes', async () => {
    const [old, next] = [await openViewer('127.0.0.1'), await openViewer('127.0.0.1')];
    const { writer, destination } = await openWriter(path, '127.0.0.1', old.port);
    write(writer, Buffer.from('first'));
    writer.destination = { ...destination, port: next.port };
    write(writer, Buffer.from('second'));
    writer.flush();
    expect(String(await old.take(1))).toBe('first');
    expect(String(await next.take(1))).toBe('second');
  });

  it("sends each viewer's packets to that viewer when two writers alternate without a flush", async () => {
    const viewers = [await openViewer('127.0.0.1'), await openViewer('127.0.0.1')];
    const writers = await Promise.all(viewers.map(({ port }) => openWriter(path, '127.0.0.1', port)));
    for (let i = 0; i < 5; i++) {
      for (const [viewer, { writer }] of writers.entries()) write(writer, Buffer.from(`${viewer}-${i}`));
    }
    for (const { writer } of writers) writer.flush();
    for (const [viewer, { take }] of viewers.entries()) {
      expect((await take(5)).map(String)).toEqual([0, 1, 2, 3, 4].map((i) => `${viewer}-${i}`));
    }
  });

  it('sends the packets of each of many viewers in order, and all of them by uncork()', async () => {
    const viewers = await Promise.all(Array.from({ length: 30 }, () => openViewer('127.0.0.1')));
    const { socket, writer } = await openWriter(path, '127.0.0.1', viewers[0]?.port ?? 0);
    const writers = viewers.map(({ port }, i) => {
      const own = i === 0 ? writer : path.sockets.createWriter();
      own.destination = { socket, address: '127.0.0.1', port };
      return own;
    });
    cleanups.push(() => {
      for (const own of writers) own.destination = undefined;
    });
    const packetsOf = (viewer: number, round: number) =>
      [1100, 1100, 700, 90].map((size, i) => Buffer.from(`${viewer} ${round} ${i} `.padEnd(size, '.')));
    for (let round = 0; round < 3; round++) {
      path.sockets.cork();
      for (const [viewer, own] of writers.entries()) {
        for (const packet of packetsOf(viewer, round)) write(own, packet);
        own.flush();
      }
      path.sockets.uncork();
      for (const [viewer, { take }] of viewers.entries()) {
        const came = await take(4);
        expect(came.map(String)).toEqual(packetsOf(viewer, round).map(String));
      }
    }
  });

  it.skipIf(LOOPBACKS.length < 2)('sends to viewers of several sockets together', async () => {
    const viewers = await Promise.all(LOOPBACKS.map((address) => openViewer(address)));
    const writers = await Promise.all(viewers.map(({ port }, i) => openWriter(path, LOOPBACKS[i] as string, port)));
    path.sockets.cork();
    for (let i = 0; i < 3; i++) {
      for (const [viewer, { writer }] of writers.entries()) {
        write(writer, Buffer.from(`${viewer}-${i}`));
        writer.flush();
      }
    }
    path.sockets.uncork();
    for (const [viewer, { take }] of viewers.entries()) {
      expect((await take(3)).map(String)).toEqual([0, 1, 2].map((i) => `${viewer}-${i}`));
    }
  });

  it('sends waiting packets to the old destination when the destination changes, and none after its socket is closed', async () => {
    const [old, next] = [await openViewer('127.0.0.1'), await openViewer('127.0.0.1')];
    const { writer, destination, close } = await openWriter(path, '127.0.0.1', old.port);
    path.sockets.cork();
    write(writer, Buffer.from('first'));
    writer.flush();
    writer.destination = { ...destination, port: next.port };
    write(writer, Buffer.from('second'));
    writer.flush();
    close();
    write(writer, Buffer.from('third'));
    path.sockets.uncork();
    expect(String(await old.take(1))).toBe('first');
    expect((await next.take(1)).map(String)).toEqual(['second']);
    expect(writer.packetsDropped).toBe(0);
  });

  it('sends more packets of random sizes than a batch holds', async () => {
    const viewer = await openViewer('127.0.0.1');
    const { writer } = await openWriter(path, '127.0.0.1', viewer.port);
    for (let round = 0; round < 20; round++) {
      const sizes = Array.from({ length: 2 * SLOTS + 3 }, () =>
        randomInt(3) === 0 ? randomInt(1, MAX_PACKET_BYTES + 1) : 1178,
      );
      const packets = sizes.map((size) => randomBytes(size));
      for (const packet of packets) write(writer, packet);
      writer.flush();
      expect((await viewer.take(packets.length)).map((packet, i) => packet.equals(packets[i] as Buffer))).toEqual(
        packets.map(() => true),
      );
    }
  });

  it('discards packets without a destination and after its socket is closed', async () => {
    const viewer = await openViewer('127.0.0.1');
    const { writer, destination, close } = await openWriter(path, '127.0.0.1', viewer.port);
    writer.destination = undefined;
    write(writer, Buffer.from('nowhere'));
    writer.flush();
    writer.destination = destination;
    write(writer, Buffer.from('there'));
    writer.flush();
    expect((await viewer.take(1)).map(String)).toEqual(['there']);
    close();
    write(writer, Buffer.from('closed'));
    writer.flush();
    expect(writer.packetsDropped).toBe(0);
  });

  it('continues after packets to a port where nobody listens', async () => {
    const viewer = await openViewer('127.0.0.1');
    const { writer, destination } = await openWriter(path, '127.0.0.1', 9);
    for (let i = 0; i < 5; i++) {
      write(writer, Buffer.alloc(100));
      writer.flush();
    }
    writer.destination = { ...destination, port: viewer.port };
    write(writer, Buffer.from('there'));
    writer.flush();
    expect((await viewer.take(1)).map(String)).toEqual(['there']);
  });
});

describe.each(PATHS)('while the send buffer of a shared socket is full, the %s path', (_name, path) => {
  /** Two viewers' writers on one socket whose send buffer stays full; `sent` frees the place of a packet in the queue. */
  async function openFullSocket() {
    const { socket, writer: dead, destination } = await openWriter(path, '127.0.0.1', 9);
    const other = path.sockets.createWriter();
    other.destination = destination;
    const queue: (() => void)[] = [];
    const waiting = vi.spyOn(socket, 'getSendQueueCount').mockImplementation(() => Math.max(1, queue.length));
    const send = vi.spyOn(socket, 'send').mockImplementation((...values: unknown[]) => {
      const [done] = values.slice(-1);
      if (typeof done === 'function') queue.push(() => done(null, 1));
    });
    return { dead, other, queue, waiting, send };
  }

  function writeMany(writer: DestinationWriter, packets: number): void {
    for (let i = 0; i < packets; i++) write(writer, Buffer.from('a packet'));
    writer.flush();
  }

  it('keeps 256 packets of a viewer, drops and counts its later ones, and keeps those of others', async () => {
    const { dead, other, queue } = await openFullSocket();
    writeMany(dead, 300);
    expect([queue.length, dead.packetsDropped]).toEqual([256, 44]);
    writeMany(other, 10);
    expect([queue.length, other.packetsDropped]).toEqual([266, 0]);
    for (const sent of queue.splice(0, 50)) sent();
    writeMany(dead, 60);
    expect([queue.length, dead.packetsDropped]).toEqual([266, 54]);
  });

  it('drops packets of every viewer when 4096 wait', async () => {
    const { dead, waiting, send } = await openFullSocket();
    waiting.mockReturnValue(4096);
    writeMany(dead, 3);
    expect(send).not.toHaveBeenCalled();
    expect(dead.packetsDropped).toBe(3);
  });
});

describe('the native writer', () => {
  /** The parts of a native path, so that the kernel's answers can be replaced. */
  function createPath() {
    const library = NativeLibrary.load();
    const slots = new PacketMemory(library);
    const batch = new PacketBatch(library, slots);
    const sockets = new NativeSockets(library, batch);
    return { library, slots, batch, sockets };
  }

  /** Makes `sendmmsg` fail with the errors that `errnoOf` returns; 0 makes the real call. */
  function failing(library: NativeLibrary, errnoOf: (calls: number) => number) {
    const real = library.call.sendmmsg;
    let calls = 0;
    let errno = 0;
    vi.spyOn(library, 'errno').mockImplementation(() => errno);
    return vi.spyOn(library.call, 'sendmmsg').mockImplementation((...values) => {
      errno = errnoOf(calls++);
      return errno === 0 ? real(...values) : -1;
    });
  }

  it.each([
    ['EAGAIN', EAGAIN],
    ['ENOBUFS', ENOBUFS],
  ])('sends packets in order through the queue of the socket after %s', async (_name, errno) => {
    const path = createPath();
    const viewer = await openViewer('127.0.0.1');
    const { writer } = await openWriter(path, '127.0.0.1', viewer.port);
    const send = failing(path.library, (calls) => (calls === 0 ? errno : 0));
    const packets = Array.from({ length: 40 }, (_, i) => Buffer.alloc(500, i));
    packets.forEach((packet, i) => {
      write(writer, packet);
      if (i % 10 === 9) writer.flush();
    });
    expect(await viewer.take(40)).toEqual(packets);
    expect(send).toHaveBeenCalled();
    expect(writer.packetsDropped).toBe(0);
  });

  it.each([
    ['EIO', EIO],
    ['EMSGSIZE', EMSGSIZE],
  ])('sends packets one by one and reports it once after segmentation has failed with %s', async (_name, errno) => {
    const path = createPath();
    const viewer = await openViewer('127.0.0.1');
    let refused = 0;
    const { writer } = await openWriter(path, '127.0.0.1', viewer.port, () => refused++);
    const send = failing(path.library, (calls) => (calls === 0 ? errno : 0));
    const packets = Array.from({ length: 10 }, (_, i) => Buffer.alloc(500, i));
    for (let i = 0; i < 2; i++) {
      for (const packet of packets) write(writer, packet);
      writer.flush();
      expect(await viewer.take(10)).toEqual(packets);
    }
    expect(refused).toBe(1);
    expect(send.mock.calls.map(([, , messages]) => messages)).toEqual([1n, 10n, 10n]);
  });

  it('loses only the packets that a firewall rejects', async () => {
    const path = createPath();
    const viewer = await openViewer('127.0.0.1');
    const { writer } = await openWriter(path, '127.0.0.1', viewer.port);
    failing(path.library, (calls) => (calls === 0 ? EPERM : 0));
    // A larger packet after a smaller one begins another message.
    for (const size of [100, 200, 300]) write(writer, Buffer.alloc(size));
    writer.flush();
    expect((await viewer.take(2)).map(({ length }) => length)).toEqual([200, 300]);
    expect(writer.packetsDropped).toBe(0);
  });

  /** Writers of several viewers on one socket. */
  async function openWriters(path: Pick<PacketPath, 'sockets'>, viewers: readonly { port: number }[]) {
    const { socket, writer } = await openWriter(path, '127.0.0.1', viewers[0]?.port ?? 0);
    const others = viewers.slice(1).map(({ port }) => {
      const other = path.sockets.createWriter();
      other.destination = { socket, address: '127.0.0.1', port };
      return other;
    });
    return [writer, ...others];
  }

  it('sends the frames of several viewers by one call, each as one message, and the answer to a NACK at once', async () => {
    const path = createPath();
    const viewers = await Promise.all([1, 2, 3].map(() => openViewer('127.0.0.1')));
    const writers = await openWriters(path, viewers);
    const send = vi.spyOn(path.library.call, 'sendmmsg');
    const frame = [1100, 1100, 1100, 700].map((size, i) => Buffer.alloc(size, i));
    path.sockets.cork();
    for (const writer of writers) {
      for (const packet of frame) write(writer, packet);
      writer.flush();
    }
    expect(send).not.toHaveBeenCalled();
    path.sockets.uncork();
    expect(send.mock.calls.map(([, , messages]) => messages)).toEqual([3n]);
    for (const { take } of viewers) expect(await take(4)).toEqual(frame);
    write(writers[1] as DestinationWriter, Buffer.from('repeated'));
    writers[1]?.flush();
    expect(send).toHaveBeenCalledTimes(2);
  });

  it('sends what it holds when there is no room for more', async () => {
    const path = createPath();
    const viewers = await Promise.all([1, 2].map(() => openViewer('127.0.0.1')));
    const writers = await openWriters(path, viewers);
    path.sockets.cork();
    const send = vi.spyOn(path.library.call, 'sendmmsg');
    for (let i = 0; i < SLOTS; i++) write(writers[i % 2] as DestinationWriter, Buffer.from(`${i}`));
    expect(send).not.toHaveBeenCalled();
    write(writers[0] as DestinationWriter, Buffer.from(`${SLOTS}`));
    expect(send).toHaveBeenCalled();
    path.sockets.uncork();
    expect((await viewers[0]?.take(SLOTS / 2 + 1))?.at(-1)?.toString()).toBe(`${SLOTS}`);
    expect((await viewers[1]?.take(SLOTS / 2))?.at(-1)?.toString()).toBe(`${SLOTS - 1}`);
  });

  it.each([
    ['EPERM', EPERM],
    ['ENETUNREACH', 101],
    ['EHOSTUNREACH', 113],
  ])('loses packets of only the viewer for whom the kernel reports %s', async (_name, errno) => {
    const path = createPath();
    const viewers = await Promise.all([1, 2, 3].map(() => openViewer('127.0.0.1')));
    const writers = await openWriters(path, viewers);
    const send = path.library.call.sendmmsg;
    let calls = 0;
    vi.spyOn(path.library, 'errno').mockReturnValue(errno);
    // Linux reports the messages before the one that failed, then its error.
    vi.spyOn(path.library.call, 'sendmmsg').mockImplementation((socket, messages, count, flags) => {
      calls++;
      if (calls === 1) return send(socket, messages, 1n, flags);
      return calls === 2 ? -1 : send(socket, messages, count, flags);
    });
    path.sockets.cork();
    for (const [i, writer] of writers.entries()) {
      for (const part of ['a', 'b']) write(writer, Buffer.from(`${i}${part}`));
      writer.flush();
    }
    path.sockets.uncork();
    expect((await viewers[0]?.take(2))?.map(String)).toEqual(['0a', '0b']);
    expect((await viewers[2]?.take(2))?.map(String)).toEqual(['2a', '2b']);
    expect(calls).toBe(3);
    write(writers[1] as DestinationWriter, Buffer.from('later'));
    writers[1]?.flush();
    expect((await viewers[1]?.take(1))?.map(String)).toEqual(['later']);
  });

  it.each([
    ['EAGAIN', EAGAIN],
    ['ENOBUFS', ENOBUFS],
  ])('sends packets of all viewers, each in order, after %s in the middle of a batch', async (_name, errno) => {
    const path = createPath();
    const viewers = await Promise.all([1, 2, 3].map(() => openViewer('127.0.0.1')));
    const writers = await openWriters(path, viewers);
    const send = path.library.call.sendmmsg;
    let calls = 0;
    vi.spyOn(path.library, 'errno').mockReturnValue(errno);
    vi.spyOn(path.library.call, 'sendmmsg').mockImplementation((socket, messages, count, flags) => {
      calls++;
      if (calls === 1) return send(socket, messages, 2n, flags);
      return calls === 2 ? -1 : send(socket, messages, count, flags);
    });
    path.sockets.cork();
    for (let round = 0; round < 4; round++) {
      for (const [i, writer] of writers.entries()) {
        write(writer, Buffer.from(`${i}-${round}`));
        writer.flush();
      }
    }
    path.sockets.uncork();
    for (const [i, { take }] of viewers.entries()) {
      expect((await take(4)).map(String)).toEqual([0, 1, 2, 3].map((round) => `${i}-${round}`));
    }
    expect(writers.map(({ packetsDropped }) => packetsDropped)).toEqual([0, 0, 0]);
  });

  it('drops and counts waiting packets of a writer that may not send any more, and sends those of others', async () => {
    const path = createPath();
    const viewers = await Promise.all([1, 2].map(() => openViewer('127.0.0.1')));
    let maySend = true;
    const [first, second] = viewers.map(({ port }) => port) as [number, number];
    const { writer, socket } = await openWriter(path, '127.0.0.1', first, undefined, () => maySend);
    const other = path.sockets.createWriter();
    other.destination = { socket, address: '127.0.0.1', port: second };
    path.sockets.cork();
    for (const each of [writer, other, writer]) {
      write(each, Buffer.from('a packet'));
      each.flush();
    }
    maySend = false;
    path.sockets.uncork();
    expect((await viewers[1]?.take(1))?.map(String)).toEqual(['a packet']);
    expect([writer.packetsDropped, other.packetsDropped]).toEqual([2, 0]);
    maySend = true;
    write(writer, Buffer.from('again'));
    writer.flush();
    expect((await viewers[0]?.take(1))?.map(String)).toEqual(['again']);
  });

  it('rejects a packet that another writer has begun', async () => {
    const path = createPath();
    const { writer } = await openWriter(path, '127.0.0.1', 9);
    const other = path.sockets.createWriter();
    writer.begin();
    other.begin();
    expect(() => writer.send(10)).toThrow(RangeError);
  });

  it('sends a frame of equal packets as one message', async () => {
    const path = createPath();
    const viewer = await openViewer('127.0.0.1');
    const { writer } = await openWriter(path, '127.0.0.1', viewer.port);
    const send = vi.spyOn(path.library.call, 'sendmmsg');
    const packets = [1100, 1100, 1100, 700].map((size, i) => Buffer.alloc(size, i));
    for (const packet of packets) write(writer, packet);
    writer.flush();
    expect(await viewer.take(4)).toEqual(packets);
    expect(send.mock.calls.map(([, , messages]) => messages)).toEqual([1n]);
  });

  it('writes only into its own memory, whatever is written by how many writers, and whatever the kernel answers', async () => {
    const path = createPath();
    const viewers = await Promise.all([1, 2, 3, 4, 5].map(() => openViewer('127.0.0.1')));
    const writers = [...(await openWriters(path, viewers)), path.sockets.createWriter()];
    const errors = [EAGAIN, ENOBUFS, EPERM, EIO];
    failing(path.library, () => errors[randomInt(40)] ?? 0);
    for (let i = 0; i < 2000; i++) {
      if (i % 2 === 0) path.sockets.cork();
      writeRandom(writers, i % 20 === 0 ? 2 * SLOTS : randomInt(1, 20));
      if (i % 2 === 0) path.sockets.uncork();
      if (!path.batch.guardIntact() || !path.slots.guardsIntact()) expect.fail('a guard was overwritten');
    }
  });

  function writeRandom(writers: readonly DestinationWriter[], packets: number): void {
    for (let n = 0; n < packets; n++) {
      const size = randomInt(3) === 0 ? 1100 : randomInt(1, MAX_PACKET_BYTES + 1);
      write(writers[randomInt(writers.length)] as DestinationWriter, Buffer.alloc(size));
    }
    writers[0]?.flush();
  }

  it.each([0, -1, Number.NaN, MAX_PACKET_BYTES + 1])('rejects a packet of %d bytes', async (bytes) => {
    const path = createPath();
    const { writer } = await openWriter(path, '127.0.0.1', 9);
    writer.begin();
    expect(() => writer.send(bytes)).toThrow(RangeError);
  });
});

describe('the native sockets', () => {
  it('send through node:dgram on a socket that they have not opened', async () => {
    const [, path] = PATHS[0] as [string, PacketPath];
    const viewer = await openViewer('127.0.0.1');
    const { writer } = await openWriter(path, '127.0.0.1', viewer.port);
    const socket: Socket = await javascriptPath.sockets.open('127.0.0.1', 0);
    cleanups.push(() => {
      writer.destination = undefined;
      socket.close();
    });
    writer.destination = { socket, address: '127.0.0.1', port: viewer.port };
    for (let i = 0; i < 3; i++) write(writer, Buffer.from(`packet ${i}`));
    writer.flush();
    expect((await viewer.take(3)).map(String)).toEqual(['packet 0', 'packet 1', 'packet 2']);
  });
});
