import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Logger } from '@humancast/shared';
import type { DatagramProblem } from './datagram-problem.js';
import { MediaSocket, type SocketAgent } from './media-socket.js';
import { javascriptPath, type PacketPath } from './packet-path.js';
import type { DestinationWriter } from './udp-sockets.js';

/** Maximum number of addresses that are offered. */
const MAX_ADDRESSES = 8;
/** A packet of a keyframe waits in the kernel for those before it; without room for them it waits in this process. */
const DEFAULT_BUFFER_BYTES = 4_194_304;

export interface MediaSocketsOptions {
  /** Local addresses to offer and listen on. Empty: all of the machine's except loopback and link-local ones. */
  readonly hostAddresses: readonly string[];
  /** Public addresses at which a NAT forwards to the port of the first socket of their family. */
  readonly announcedAddresses?: readonly string[];
  /** UDP ports to use, both included. Default: any. */
  readonly portRange?: readonly [number, number] | undefined;
  /** Size of the kernel's send buffer and of its receive buffer, bytes; the kernel may grant less. Default: 4 MiB. */
  readonly bufferBytes?: number;
  /** How packets are encrypted and sent. Default: by `node:crypto` and `node:dgram`. */
  readonly packetPath?: PacketPath;
  /** Called for each datagram that belongs to no viewer. */
  readonly onProblem?: (problem: DatagramProblem) => void;
  readonly logger: Logger;
}

/** An address at which the process can be reached. */
export interface HostAddress {
  readonly address: string;
  readonly port: number;
}

/** The UDP sockets of a process, one for each address, shared by the viewers. */
export class MediaSockets {
  readonly packetPath: PacketPath;
  readonly #options: MediaSocketsOptions;
  readonly #agents = new Map<string, SocketAgent>();
  readonly #sockets = new Map<string, MediaSocket>();
  #closed = false;

  constructor(options: MediaSocketsOptions) {
    this.#options = options;
    this.packetPath = options.packetPath ?? javascriptPath;
  }

  /**
   * Opens the sockets that are not open yet: all at the first call, then those of new addresses.
   * @returns the addresses to offer, at least one.
   * @throws Error if no socket can be opened.
   */
  async open(): Promise<HostAddress[]> {
    const { hostAddresses } = this.#options;
    const addresses = (hostAddresses.length > 0 ? hostAddresses : machineAddresses()).slice(0, MAX_ADDRESSES);
    const sockets = addresses.map((address) => this.#socketOf(address));
    const results = await Promise.allSettled(sockets.map((socket) => socket.open()));
    const opened = sockets.filter((_, i) => results[i]?.status === 'fulfilled');
    if (opened.length > 0) return [...opened, ...this.#announced(opened)];
    const [error] = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    throw new Error(`cannot open a UDP socket on any of: ${addresses.join(', ')}`, { cause: error });
  }

  /** @param maySend Whether packets may be sent at this instant. Default: always. */
  createWriter(maySend?: () => boolean): DestinationWriter {
    return this.packetPath.sockets.createWriter(maySend);
  }

  /** Delivers binding requests that name this fragment to the agent until {@link unregister}. */
  register(fragment: string, agent: SocketAgent): void {
    this.#agents.set(fragment, agent);
  }

  unregister(fragment: string): void {
    this.#agents.delete(fragment);
  }

  /** Number of fragments and remote addresses that are remembered. */
  get size(): number {
    let size = this.#agents.size;
    for (const socket of this.#sockets.values()) size += socket.size;
    return size;
  }

  /** Closes all sockets, after all viewers have been closed. */
  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets.values()) socket.close();
  }

  #announced(opened: readonly MediaSocket[]): HostAddress[] {
    return (this.#options.announcedAddresses ?? []).flatMap((address) => {
      const socket = opened.find((each) => isIPv6(each.address) === isIPv6(address));
      return socket ? [{ address, port: socket.port }] : [];
    });
  }

  #socketOf(address: string): MediaSocket {
    const known = this.#sockets.get(address);
    if (known) return known;
    if (this.#closed) throw new Error('the sockets have been closed');
    const { portRange, bufferBytes = DEFAULT_BUFFER_BYTES, onProblem = () => {}, logger } = this.#options;
    const socket = new MediaSocket({
      address,
      portRange,
      bufferBytes,
      sockets: this.packetPath.sockets,
      agents: this.#agents,
      onProblem,
      logger,
    });
    this.#sockets.set(address, socket);
    return socket;
  }
}

function machineAddresses(): string[] {
  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:') && !address.startsWith('169.254.'));
  return outside.length > 0 ? outside.map(({ address }) => address) : ['127.0.0.1'];
}
