import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { MAX_PACKET_BYTES, type PacketWriter } from '../rtp/packet-writer.js';

/** Packets that wait for room in the kernel's send buffer; more would only arrive too late. */
const MAX_QUEUED_PACKETS = 256;

/** Where a viewer's packets go. */
export interface Destination {
  /** Open and bound, as long as it is the destination's. */
  readonly socket: Socket;
  /** A literal IP address of the socket's family. */
  readonly address: string;
  readonly port: number;
}

/** A {@link PacketWriter} whose destination changes as the viewer's address does. */
export interface DestinationWriter extends PacketWriter {
  /** While it is `undefined`, packets are discarded. It must be, before its socket is closed. */
  destination: Destination | undefined;
  /** Packets given up because the kernel's send buffer and the queue behind it were full. */
  readonly packetsDropped: number;
}

/** Opens UDP sockets, and makes the writers that send on them. */
export interface UdpSockets {
  /**
   * Binds a socket to a literal IP address. Packets that can't be sent are lost without an event.
   * @param port 0: any.
   * @param onSegmentationRefused is called at most once, when the network takes packets only one by one.
   * @throws NodeJS.ErrnoException, `EADDRINUSE` for one.
   */
  open(address: string, port: number, onSegmentationRefused?: (errno: number) => void): Promise<Socket>;
  createWriter(): DestinationWriter;
}

/** {@link UdpSockets} on `node:dgram`, which run wherever Node.js does. */
export const dgramSockets: UdpSockets = {
  open: (address, port) => bound(address, { address, port, exclusive: true }),
  createWriter: () => new DgramWriter(),
};

/**
 * @param address the literal address that the socket is or will be bound to.
 * @param options where to bind it, or the descriptor of a bound one, which the socket closes from then on.
 */
export async function bound(
  address: string,
  options: { address: string; port: number; exclusive: true } | { fd: number; exclusive: true },
): Promise<Socket> {
  const family = isIPv6(address) ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    // Only literal addresses are ever sent to. Node.js' own look-up would delay every packet until the next tick.
    lookup: (literal, _options, done) => done(null, literal, family),
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(options, resolve);
  }).catch((error: unknown) => {
    socket.close();
    throw error;
  });
  socket.removeAllListeners('error');
  // What fails here is one datagram; a path that stays broken is noticed by its silence.
  socket.on('error', () => {});
  return socket;
}

/** Sends each packet at once with `node:dgram`. When the kernel's send buffer is full, packets wait in the socket's queue. */
export class DgramWriter implements DestinationWriter {
  #memory = Buffer.allocUnsafeSlow(MAX_PACKET_BYTES);
  #destination: Destination | undefined;
  /** Packets in the socket's queue, as of the last one sent. */
  #queued = 0;
  #packetsDropped = 0;

  get memory(): Buffer {
    return this.#memory;
  }

  get destination(): Destination | undefined {
    return this.#destination;
  }

  set destination(destination: Destination | undefined) {
    this.#destination = destination;
    this.#queued = destination?.socket.getSendQueueCount() ?? 0;
  }

  get packetsDropped(): number {
    return this.#packetsDropped;
  }

  /** Whether packets wait, behind which later ones must wait too. */
  get isWaiting(): boolean {
    if (this.#queued > 0) this.#queued = this.#destination?.socket.getSendQueueCount() ?? 0;
    return this.#queued > 0;
  }

  begin(): number {
    return 0;
  }

  send(bytes: number): void {
    if (!this.#destination) return;
    const { socket, address, port } = this.#destination;
    if (this.#queued >= MAX_QUEUED_PACKETS && socket.getSendQueueCount() >= MAX_QUEUED_PACKETS) {
      this.#packetsDropped++;
      return;
    }
    socket.send(this.#memory, 0, bytes, port, address);
    this.#queued = socket.getSendQueueCount();
    // Normally the kernel has copied the packet by now. When its buffer was full, the memory is needed until it has.
    if (this.#queued > 0) this.#memory = Buffer.allocUnsafeSlow(MAX_PACKET_BYTES);
  }

  flush(): void {}
}
