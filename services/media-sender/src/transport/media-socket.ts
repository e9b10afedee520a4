import type { RemoteInfo, Socket } from 'node:dgram';
import type { Logger } from '@humancast/shared';
import type { DatagramProblem } from './datagram-problem.js';
import { isStun, namedFragment } from './stun.js';
import type { Destination, UdpSockets } from './udp-sockets.js';

/** Interval between attempts to open a socket that has failed, ms. */
const REOPEN_INTERVAL_MS = 1000;

/** A remote address from which an agent has received an authenticated check. */
export interface RemotePath {
  readonly agent: SocketAgent;
  readonly address: string;
  readonly port: number;
  /** Whether its viewer has recently proven to be there. A check proves nothing, because its source address can be forged. */
  readonly isProven: boolean;
}

/** Reads the datagrams of one viewer. May throw. */
export interface SocketAgent {
  /** Reads a binding request, from any address, that names a fragment of the agent. */
  readCheck(socket: MediaSocket, fragment: string, data: Buffer, remote: RemoteInfo): DatagramProblem | undefined;
  /** Reads any other datagram from an address of the agent. */
  readDatagram(path: RemotePath, data: Buffer): DatagramProblem | undefined;
  /** Called when the address of a path has been assigned to another agent. */
  pathLost(path: RemotePath): void;
  /** Called when the socket of a path has been closed or reopened, and can or cannot send from now on. */
  socketChanged(path: RemotePath): void;
  /** Called for each datagram of the agent that was ignored. */
  ignored(problem: DatagramProblem): void;
}

export interface MediaSocketOptions {
  /** A literal IP address. */
  readonly address: string;
  readonly portRange: readonly [number, number] | undefined;
  /** Size of the kernel's send buffer and of its receive buffer, bytes. The kernel may grant less. */
  readonly bufferBytes: number;
  readonly sockets: UdpSockets;
  /** Agents by their username fragments. */
  readonly agents: ReadonlyMap<string, SocketAgent>;
  /** Called for each datagram that belongs to no agent. */
  readonly onProblem: (problem: DatagramProblem) => void;
  readonly logger: Logger;
}

/**
 * A UDP socket that all viewers share. A binding request belongs to the agent whose fragment it names, wherever it comes from.
 * Everything else belongs to the agent that owns its source address. Datagrams without an agent cost no more than a look-up.
 *
 * An agent claims an address by an authenticated check. If the viewer of another agent has proven to be there, the claim has to
 * be proven too, because relays reuse ports, but source addresses are easily forged.
 */
export class MediaSocket {
  readonly address: string;
  readonly #options: MediaSocketOptions;
  readonly #owners = new Map<string, RemotePath>();
  /** Claims that have not been proven yet; at most one for an address. */
  readonly #contenders = new Map<string, RemotePath>();
  #socket: Socket | undefined;
  #opening: Promise<void> | undefined;
  #reopening: NodeJS.Timeout | undefined;
  /** The port of the last open socket; 0: none. */
  #port = 0;
  #openedAtMs = 0;
  #closed = false;

  constructor(options: MediaSocketOptions) {
    this.#options = options;
    this.address = options.address;
  }

  get port(): number {
    return this.#port;
  }

  /** Number of remote addresses that are remembered. */
  get size(): number {
    return this.#owners.size + this.#contenders.size;
  }

  /** Opens the socket unless it is open. @throws Error if there is no free port, or the machine does not have the address. */
  open(): Promise<void> {
    if (this.#socket) return Promise.resolve();
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  /** @returns where media for a path is sent; `undefined` while the socket is not open. */
  destinationOf({ address, port }: RemotePath): Destination | undefined {
    return this.#socket && { socket: this.#socket, address, port };
  }

  /** Sends a datagram that is not media, from memory of its own. Never throws. */
  send(data: Buffer, { address, port }: Pick<RemotePath, 'address' | 'port'>): void {
    this.#socket?.send(data, port, address);
  }

  /**
   * Assigns the address of a path to its agent.
   * @param isProven whether the viewer has proven to be there.
   * @returns `false` if the viewer of another agent is there as far as is known.
   */
  claim(path: RemotePath, isProven: boolean): boolean {
    const key = keyOf(path);
    const owner = this.#owners.get(key);
    if (owner === path) return true;
    if (owner?.isProven && !isProven) {
      this.#contenders.set(key, path);
      return false;
    }
    if (this.#contenders.get(key) === path) this.#contenders.delete(key);
    this.#owners.set(key, path);
    owner?.agent.pathLost(owner);
    return true;
  }

  /** Forgets a path. */
  release(path: RemotePath): void {
    const key = keyOf(path);
    const contender = this.#contenders.get(key);
    if (contender === path) this.#contenders.delete(key);
    if (this.#owners.get(key) !== path) return;
    this.#owners.delete(key);
    if (!contender) return;
    this.#contenders.delete(key);
    this.#owners.set(key, contender);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#reopening);
    this.#detach()?.close();
  }

  async #open(): Promise<void> {
    const { sockets, bufferBytes, logger } = this.#options;
    const socket = await this.#bind((port) =>
      sockets.open(this.address, port, (errno) =>
        logger.info({ address: this.address, errno }, 'segmentation refused, sending packets one by one'),
      ),
    );
    if (this.#closed) {
      socket.close();
      throw new Error('the sockets have been closed');
    }
    socket.setSendBufferSize(bufferBytes);
    socket.setRecvBufferSize(bufferBytes);
    socket.on('message', (data, remote) => this.#receive(data, remote));
    socket.on('error', (error) => this.#fail(socket, error));
    this.#socket = socket;
    this.#port = socket.address().port;
    this.#openedAtMs = performance.now();
    logger.info(
      {
        address: this.address,
        port: this.#port,
        sendBufferBytes: socket.getSendBufferSize(),
        receiveBufferBytes: socket.getRecvBufferSize(),
      },
      'UDP socket opened',
    );
    this.#notifyAgents();
  }

  /** Binds to the port of before, so that viewers go on after a failure, or to the first free one. */
  async #bind(open: (port: number) => Promise<Socket>): Promise<Socket> {
    const { portRange } = this.#options;
    const unlessInUse = (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      return undefined;
    };
    const before = this.#port > 0 ? await open(this.#port).catch(unlessInUse) : undefined;
    if (before) return before;
    if (!portRange) return open(0);
    const [low, high] = portRange;
    for (let port = low; port <= high; port++) {
      const socket = await open(port).catch(unlessInUse);
      if (socket) return socket;
    }
    const ports = low === high ? `UDP port ${low} is in use` : `no free UDP port in ${low}–${high}`;
    throw new Error(`${ports} on ${this.address} (UDP_PORT_RANGE)`);
  }

  /** Replaces a socket that the kernel has ended; receiving on an unconnected socket fails for no other reason. */
  #fail(socket: Socket, error: Error): void {
    if (socket !== this.#socket) return;
    const { logger } = this.#options;
    logger.warn({ address: this.address, port: this.#port, err: error.message }, 'UDP socket failed, reopening');
    this.#detach();
    socket.close();
    const openMs = performance.now() - this.#openedAtMs;
    this.#reopenIn(openMs < REOPEN_INTERVAL_MS ? REOPEN_INTERVAL_MS : 0);
  }

  /** Takes the socket from all writers, because nothing may be sent on its descriptor after it is closed. */
  #detach(): Socket | undefined {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#notifyAgents();
    return socket;
  }

  #notifyAgents(): void {
    for (const paths of [this.#owners, this.#contenders]) {
      for (const path of paths.values()) path.agent.socketChanged(path);
    }
  }

  #reopenIn(delayMs: number): void {
    clearTimeout(this.#reopening);
    this.#reopening = setTimeout(() => {
      this.open().catch((error: Error) => {
        if (this.#closed) return;
        this.#options.logger.warn({ address: this.address, err: error.message }, 'reopening a UDP socket failed');
        this.#reopenIn(REOPEN_INTERVAL_MS);
      });
    }, delayMs);
  }

  /** Reads one datagram. Never throws, whatever it contains and whatever the agents do. */
  #receive(data: Buffer, remote: RemoteInfo): void {
    const owner = this.#owners.get(keyOf(remote));
    // A datagram from port 0 cannot be answered (RFC 8085 §5.1).
    if (remote.port === 0) {
      this.#options.onProblem({ reason: 'unknown-source' });
      return;
    }
    const fragment = isStun(data) ? namedFragment(data) : undefined;
    const agent = fragment === undefined ? owner?.agent : this.#options.agents.get(fragment);
    if (!agent) {
      this.#options.onProblem({ reason: fragment === undefined ? 'unknown-source' : 'unauthenticated' });
      return;
    }
    const problem = attempt(() => {
      if (fragment !== undefined) return agent.readCheck(this, fragment, data, remote);
      return owner && this.#readDatagram(owner, data);
    });
    if (problem) agent.ignored(problem);
  }

  /** A response to the check that an agent has sent to prove its claim arrives at the owner of the address. */
  #readDatagram(owner: RemotePath, data: Buffer): DatagramProblem | undefined {
    const problem = owner.agent.readDatagram(owner, data);
    const contender = problem?.reason === 'unauthenticated' && isStun(data) && this.#contenders.get(keyOf(owner));
    return contender ? contender.agent.readDatagram(contender, data) : problem;
  }
}

function attempt(action: () => DatagramProblem | undefined): DatagramProblem | undefined {
  try {
    return action();
  } catch (error) {
    return { reason: 'failed', error };
  }
}

function keyOf({ address, port }: Pick<RemoteInfo, 'address' | 'port'>): string {
  return `${port} ${address}`;
}
