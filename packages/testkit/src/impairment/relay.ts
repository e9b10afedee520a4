import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { connect, createServer, type Socket } from 'node:net';
import { DelayLine } from './delay-line.js';
import { ImpairedPath } from './impaired-path.js';
import { type Phase, parseProfile } from './profile.js';

/** Size of the kernel's socket buffers, large enough that only the relay loses packets. */
const SOCKET_BUFFER_BYTES = 4 * 2 ** 20;
/** Time in addition to the round trip until a lost TCP segment is repaired (RFC 6675); later segments wait for it. */
const TCP_REPAIR_MS = 10;
/** Maximum number of attempts, for a path that stays dead. */
const TCP_ATTEMPTS = 1000;
const TCP_SEGMENT_BYTES = 1400;
/** Maximum number of bytes in flight, like a sender's window. */
const TCP_WINDOW_BYTES = 256 * 1024;
const MAX_CLIENTS = 64;

interface ImpairmentOptions {
  /** Address of the relay and of the server. Default 127.0.0.1, which Firefox rejects for a TURN server. */
  readonly address?: string;
  /** Port that the packets go to, such as a TURN server's; a function if it is known only later. */
  readonly targetPort: number | (() => number);
  /** One line, see {@link parseProfile}. */
  readonly profile: string;
  readonly seed?: number;
  /** Called for each datagram on its way to a viewer, before it may be lost. */
  readonly onDown?: (data: Buffer) => void;
}

/** Relays between viewers and a server on the same address. */
export interface ImpairmentRelay {
  readonly port: number;
  /** Restarts the profile's clock and its decisions. */
  restart(profile?: string): void;
  /** Packets and losses of both directions since the last restart. */
  readonly counts: Readonly<Record<'down' | 'up', ImpairedPath['counts']>>;
  /** Cuts off the clients known so far, for good and without a word, as a change of their network does. New ones are served. */
  strand(): void;
  close(): Promise<void>;
}

/** The impaired path that both kinds of relay share. */
class Impairer {
  readonly #seed: number;
  readonly #line = new DelayLine();
  #phases: Phase[];
  #startMs = performance.now();
  #paths: Record<'down' | 'up', ImpairedPath>;
  readonly #inOrderMs = { down: 0, up: 0 };

  constructor({ profile, seed = 1 }: ImpairmentOptions) {
    this.#seed = seed;
    this.#phases = parseProfile(profile);
    this.#paths = { down: new ImpairedPath(seed), up: new ImpairedPath(seed + 1) };
  }

  get counts() {
    return { down: this.#paths.down.counts, up: this.#paths.up.counts };
  }

  restart(profile?: string): void {
    if (profile !== undefined) this.#phases = parseProfile(profile);
    this.#startMs = performance.now();
    this.#paths = { down: new ImpairedPath(this.#seed), up: new ImpairedPath(this.#seed + 1) };
  }

  /** Delivers each copy at its time. */
  carry(direction: 'down' | 'up', bytes: number, deliver: () => void): void {
    const nowMs = performance.now();
    const { [direction]: impairment } = this.#phaseAt(nowMs - this.#startMs);
    for (const atMs of this.#paths[direction].send(bytes, nowMs, impairment)) {
      if (atMs <= nowMs) deliver();
      else this.#line.at(atMs, deliver);
    }
  }

  /** Like {@link carry} for a reliable stream: a lost packet arrives later, and delays those behind it. */
  carryReliably(direction: 'down' | 'up', bytes: number, deliver: () => void): void {
    let sentMs = performance.now();
    for (let attempt = 0; attempt < TCP_ATTEMPTS; attempt++) {
      const { [direction]: impairment } = this.#phaseAt(sentMs - this.#startMs);
      const [arrivalMs] = this.#paths[direction].send(bytes, sentMs, impairment);
      if (arrivalMs !== undefined) {
        this.#inOrderMs[direction] = Math.max(this.#inOrderMs[direction], arrivalMs);
        this.#line.at(this.#inOrderMs[direction], deliver);
        return;
      }
      sentMs += 2 * impairment.delayMs + TCP_REPAIR_MS;
    }
  }

  close(): void {
    this.#line.close();
  }

  #phaseAt(elapsedMs: number): Phase {
    let current = this.#phases[0];
    for (const phase of this.#phases) if (phase.atMs <= elapsedMs) current = phase;
    if (!current) throw new Error('a profile has a phase');
    return current;
  }
}

/** Starts a relay for datagrams. */
export async function startUdpImpairment(options: ImpairmentOptions): Promise<ImpairmentRelay> {
  const impairer = new Impairer(options);
  const { address: own = '127.0.0.1' } = options;
  const front = createSocket('udp4');
  const backs = new Map<string, DatagramSocket>();
  const stranded = new Set<string>();
  const backOf = (address: string, port: number): DatagramSocket | undefined => {
    const client = `${address}:${port}`;
    const known = backs.get(client);
    if (known || backs.size >= MAX_CLIENTS) return known;
    const back = createSocket('udp4');
    back.on('message', (data) => {
      options.onDown?.(data);
      if (!stranded.has(client)) impairer.carry('down', data.length, () => send(front, data, port, address));
    });
    backs.set(client, back);
    back.bind(0, own, () => back.setRecvBufferSize(SOCKET_BUFFER_BYTES));
    return back;
  };
  front.on('message', (data, { address, port }) => {
    const back = stranded.has(`${address}:${port}`) ? undefined : backOf(address, port);
    if (back) impairer.carry('up', data.length, () => send(back, data, portOf(options), own));
  });
  await new Promise<void>((resolve) => front.bind(0, own, resolve));
  front.setRecvBufferSize(SOCKET_BUFFER_BYTES);
  return {
    port: front.address().port,
    restart: (profile) => impairer.restart(profile),
    get counts() {
      return impairer.counts;
    },
    strand: () => {
      for (const client of backs.keys()) stranded.add(client);
    },
    close: async () => {
      impairer.close();
      for (const socket of [front, ...backs.values()]) socket.close();
      backs.clear();
    },
  };
}

function portOf({ targetPort }: ImpairmentOptions): number {
  return typeof targetPort === 'function' ? targetPort() : targetPort;
}

function send(socket: DatagramSocket, data: Buffer, port: number, address: string): void {
  try {
    socket.send(data, port, address);
  } catch {
    // The socket was closed meanwhile.
  }
}

/** Starts a relay for TCP connections: a lost segment arrives later, and delays those behind it. */
export async function startTcpImpairment(options: ImpairmentOptions): Promise<ImpairmentRelay> {
  const impairer = new Impairer(options);
  const { address: own = '127.0.0.1' } = options;
  const sockets = new Set<Socket>();
  const stranded = new Set<Socket>();
  const pipe = (from: Socket, to: Socket, direction: 'down' | 'up') => {
    let onTheWay = 0;
    from.on('data', (data) => {
      if (stranded.has(from)) return;
      const bytes = Buffer.from(data as Buffer);
      for (let at = 0; at < bytes.length; at += TCP_SEGMENT_BYTES) {
        const segment = bytes.subarray(at, at + TCP_SEGMENT_BYTES);
        onTheWay += segment.length;
        impairer.carryReliably(direction, segment.length, () => {
          onTheWay -= segment.length;
          if (to.writable) to.write(segment);
          if (onTheWay < TCP_WINDOW_BYTES) from.resume();
        });
      }
      if (onTheWay >= TCP_WINDOW_BYTES) from.pause();
    });
    // The end stays behind the data.
    const end = () => {
      if (!stranded.has(from)) impairer.carryReliably(direction, 0, () => to.destroy());
    };
    from.on('close', end);
    from.on('error', end);
    sockets.add(from);
    from.on('close', () => sockets.delete(from));
  };
  const server = createServer((client) => {
    const back = connect(portOf(options), own);
    pipe(client, back, 'up');
    pipe(back, client, 'down');
  });
  server.maxConnections = MAX_CLIENTS;
  await new Promise<void>((resolve) => server.listen(0, own, resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address ? address.port : 0,
    restart: (profile) => impairer.restart(profile),
    get counts() {
      return impairer.counts;
    },
    strand: () => {
      for (const socket of sockets) stranded.add(socket);
    },
    close: async () => {
      impairer.close();
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
