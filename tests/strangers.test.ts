import { createHmac, randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SDP_LIMIT_BYTES, signalMessageSchema } from '@humancast/protocol';
import {
  budget,
  FuzzRandom,
  makeTestClip,
  mutate,
  Producer,
  Receiver,
  readOffer,
  type Stack,
  type StackProcess,
  startStack,
  type TrackKind,
  waitFor,
} from '@humancast/testkit';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

/** Datagrams per batch, after which both processes get a turn. */
const BATCH = 100;
const BATCH_MS = 15;
/** Datagrams after which another connection is attacked before its handshake, which times out. */
const EARLY_LIFE = 20_000;
/** Number of datagrams in `npm test`; `FUZZ_SECONDS` sends as many as fit. */
const DATAGRAMS = 100_000;

/**
 * A hostile viewer affects its own connection at most: the process lives, and another viewer's packets continue without a
 * gap.
 */
describe('hostile viewer', () => {
  let stack: Stack;
  let producer: Producer;
  let sender: StackProcess;
  let startedAt: number;
  let bystander: Bystander;

  beforeAll(async () => {
    stack = await startStack({ turn: false, env: { MAX_SESSIONS: '100' } });
    producer = new Producer(stack);
    makeTestClip(join(stack.mediaDir, 'lights/idle/red.mp4'), { color: 'red', seconds: 2 });
    await producer.idleLoaded('lights');
    const found = stack.processes.find(({ name }) => name === 'media-sender');
    if (!found) throw new Error('no media-sender');
    sender = found;
    startedAt = await metric('process_start_time_seconds');
  });

  beforeEach(async () => {
    bystander = await Bystander.watch(stack, producer);
  });

  afterEach(async () => {
    const before = bystander.count;
    await waitFor(
      'the bystander is still served',
      async () => bystander.count,
      (count) => count > before + 50,
    );
    bystander.close();
    expect(bystander.closedBecause).toBeUndefined();
    expect(bystander.gaps).toEqual([]);
    expect(await metric('process_start_time_seconds')).toBe(startedAt);
    expect(sender.log()).not.toMatch(/uncaught|unhandled|lease lost/);
  });

  afterAll(() => stack?.stop());

  async function metric(name: string): Promise<number> {
    const text = await (await fetch(`${sender.metricsUrl}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith(name));
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  /** Joins, and answers one connectivity check, so that its datagrams are read. */
  async function attackBeforeHandshake(): Promise<{ socket: Socket; port: number; check: () => Buffer }> {
    const { id, token } = await producer.createSession('lights');
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    const offer = readOffer(await offerTo(stack.signalingUrl, id, token));
    const candidate = offer.candidates.find((line) => line.includes(' 127.0.0.1 ')) ?? '';
    const port = Number(/ 127\.0\.0\.1 (\d+) /.exec(candidate)?.[1]);
    const check = () => bindingRequest(`${offer.usernameFragment}:evil`, offer.password);
    const answered = once(socket, 'message');
    socket.send(check(), port, '127.0.0.1');
    await answered;
    return { socket, port, check };
  }

  it('sending one byte does no harm', async () => {
    const { socket, port } = await attackBeforeHandshake();
    for (const datagram of ['16', '16fefd', '16fefd00000000000000000001', '15fefd000100000000000000020100', '']) {
      socket.send(Buffer.from(datagram, 'hex'), port, '127.0.0.1');
    }
    await waitFor(
      'they are counted',
      () => metric('humancast_sender_datagrams_dropped_total'),
      (count) => count >= 3,
    );
    socket.close();
  });

  it('sending a description of the largest size, made to parse slowly, does no harm', async () => {
    const half = (SDP_LIMIT_BYTES - 200) / 2;
    const head = 'v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\na=ice-ufrag:abcd\n';
    const slow = `${head}m=audio 9 X${' 1'.repeat(half / 2)}\n${'a=\n'.repeat(half / 3)}`;
    const ask = async (body: string) => {
      const url = producer.signaling('/whep/lights');
      const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/sdp' }, body });
      return { status: response.status, code: ((await response.json()) as { code: string }).code };
    };
    for (let i = 0; i < 5; i++) expect(await ask(slow)).toEqual({ status: 400, code: 'bad_sdp' });
    expect(await ask(`${slow}${'a=\n'.repeat(1000)}`)).toEqual({ status: 413, code: 'message_too_large' });
  });

  it('sending 100,000 broken datagrams, before and after the handshake, does no harm', async () => {
    const { seconds, seed } = budget({ seconds: 60 });
    const limit = process.env['FUZZ_SECONDS'] === undefined ? DATAGRAMS : Number.POSITIVE_INFINITY;
    const deadline = performance.now() + seconds * 1000;
    const dropped = () => metric('humancast_sender_datagrams_dropped_total');
    const droppedBefore = await dropped();
    const handshakes: Buffer[] = [];
    let established = await connectAttacker(stack, producer, handshakes);
    let early = await attackBeforeHandshake();
    let sent = 0;
    for (; sent < limit && performance.now() < deadline; sent += BATCH) {
      const random = new FuzzRandom(Math.imul(seed, 0x9e3779b1) ^ sent);
      sendBatch(random, [...handshakes, early.check(), ...RTCP], early, established);
      if (established.closed) established = await connectAttacker(stack, producer, handshakes);
      if (sent % EARLY_LIFE === 0) {
        early.socket.close();
        early = await attackBeforeHandshake();
      }
      await sleep(BATCH_MS);
    }
    early.socket.close();
    established.close();
    if (limit === DATAGRAMS) expect(sent).toBe(DATAGRAMS);
    // Some datagrams are lost in socket buffers, or after the viewer was ended; most arrive.
    expect((await dropped()) - droppedBefore).toBeGreaterThan(0.3 * sent);
    expect(await metric('humancast_sender_datagrams_dropped_total{reason="failed"')).toBe(0);
  });
});

interface Early {
  readonly socket: Socket;
  readonly port: number;
}

function sendBatch(random: FuzzRandom, corpus: readonly Buffer[], early: Early, established: Receiver): void {
  for (let i = 0; i < BATCH; i++) {
    const datagram = random.chance(0.2)
      ? random.bytes(random.below(200))
      : mutate(random.pick(corpus), random, corpus, 1500);
    const kind = random.below(3);
    if (kind === 0) early.socket.send(datagram, early.port, '127.0.0.1');
    else if (kind === 1) established.sendDatagram(datagram);
    else if (datagram.length >= 8) established.sendRtcp(datagram);
  }
}

/** A viewer with a completed handshake, and so with keys. */
async function connectAttacker(stack: Stack, producer: Producer, handshakes: Buffer[]): Promise<Receiver> {
  const { id: session, token } = await producer.createSession('lights');
  return Receiver.connect({
    signalingUrl: stack.signalingUrl,
    session,
    token,
    decrypt: false,
    listener: {
      handshakeSent: (datagram) => {
        if (handshakes.length < 50) handshakes.push(datagram);
      },
    },
  });
}

/** A viewer of another session on the same media-sender. */
class Bystander {
  readonly #sequences = new Map<TrackKind, number>();
  #receiver: Receiver | undefined;
  /** Sequence numbers before and after each gap. */
  readonly gaps: [TrackKind, number, number][] = [];
  count = 0;
  closedBecause: string | undefined;

  static async watch(stack: Stack, producer: Producer): Promise<Bystander> {
    const { id: session, token } = await producer.createSession('lights');
    const bystander = new Bystander();
    bystander.#receiver = await Receiver.connect({
      signalingUrl: stack.signalingUrl,
      session,
      token,
      decrypt: false,
      listener: {
        packet: ({ track, sequence }) => bystander.#take(track, sequence),
        closed: (reason) => {
          bystander.closedBecause = reason;
        },
      },
    });
    return bystander;
  }

  close(): void {
    this.#receiver?.close();
  }

  #take(track: TrackKind, sequence: number): void {
    const last = this.#sequences.get(track);
    if (last !== undefined && sequence !== ((last + 1) & 0xffff)) this.gaps.push([track, last, sequence]);
    this.#sequences.set(track, sequence);
    this.count++;
  }
}

/** A receiver report with a block, a NACK, a PLI, and a BYE. */
const RTCP = [
  '81c90007000000010000000500ffffff000000000000000000000000' + '00000000',
  '81cd0003000000010000000900ff8001',
  '81ce00020000000100000009',
  '80c900010000000181cb000100000001',
].map((hex) => Buffer.from(hex, 'hex'));

/** Joins over the WebSocket. @returns the offer's description. */
async function offerTo(signalingUrl: string, session: string, token: string): Promise<string> {
  const socket = new WebSocket(`${signalingUrl.replace(/^http/, 'ws')}/v1/signal`);
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  socket.onopen = () => socket.send(JSON.stringify({ type: 'join', session, token }));
  socket.onmessage = ({ data }) => {
    const message = signalMessageSchema.parse(JSON.parse(String(data)));
    if (message.type === 'offer') resolve(message.sdp);
    if (message.type === 'error') reject(new Error(message.message));
  };
  socket.onclose = () => reject(new Error('signaling closed'));
  return promise;
}

/** A connectivity check with USE-CANDIDATE (RFC 8445 §7.1). */
function bindingRequest(username: string, password: string): Buffer {
  const attribute = (type: number, value: Buffer) => {
    const header = Buffer.alloc(4);
    header.writeUInt16BE(type, 0);
    header.writeUInt16BE(value.length, 2);
    return Buffer.concat([header, value, Buffer.alloc(-value.length & 3)]);
  };
  const header = Buffer.concat([Buffer.from('000100002112a442', 'hex'), randomBytes(12)]);
  const unsigned = Buffer.concat([header, attribute(0x06, Buffer.from(username)), attribute(0x25, Buffer.alloc(0))]);
  unsigned.writeUInt16BE(unsigned.length - 20 + 24, 2);
  return Buffer.concat([unsigned, attribute(0x08, createHmac('sha1', password).update(unsigned).digest())]);
}
