import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { MAX_PACKET_BYTES, type PacketWriter } from '../rtp/packet-writer.js';

/** Maximum number of a viewer's packets that wait for room in the kernel's send buffer; later ones would arrive too late. */
const MAX_QUEUED_PACKETS = 256;
/** Maximum number of all viewers' packets that wait on a socket: 0.4 s at 100 Mb/s. */
const MAX_SOCKET_QUEUED_PACKETS = 4096;

/** A viewer's address and the socket that reaches it. */
export interface Destination {
  /** Open and bound. */
  readonly socket: Socket;
  /** A literal IP address of the socket's family. */
  readonly address: string;
  readonly port: number;
}

/** A {@link PacketWriter} whose destination changes as the viewer's address does. */
export interface DestinationWriter extends PacketWriter {
  /** `undefined` discards packets. To be set to `undefined` before the socket is closed. */
  destination: Destination | undefined;
  /** Number of packets dropped because the kernel's send buffer and the queue for it were full. */
  readonly packetsDropped: number;
}

/** Opens UDP sockets and creates the writers that send on them. */
export interface UdpSockets {
  /**
   * Binds a socket to a literal IP address. The socket reports no error for packets that cannot be sent.
   * @param port 0 chooses any port.
   * @param onSegmentationRefused is called at most once, when the network accepts packets only one by one.
   * @throws NodeJS.ErrnoException, for example `EADDRINUSE`.
   */
  open(address: string, port: number, onSegmentationRefused?: (errno: number) => void): Promise<Socket>;
  /** @param maySend Whether packets may still be sent that have waited for {@link uncork}. Default: always. */
  createWriter(maySend?: () => boolean): DestinationWriter;
  /**
   * From now on, packets of all writers may wait in spite of {@link PacketWriter.flush}, to be sent together, until
   * {@link uncork} or until there is no room for more.
   */
  cork(): void;
  /** Sends all packets that wait. Never throws. */
  uncork(): void;
}

/** {@link UdpSockets} by `node:dgram`, for all platforms. */
export const dgramSockets: UdpSockets = {
  open: (address, port) => bound(address, { address, port, exclusive: true }),
  createWriter: () => new DgramWriter(),
  cork: () => {},
  uncork: () => {},
};

/**
 * Creates a socket for {@link UdpSockets.open}.
 * @param address the literal address of the socket.
 * @param options where to bind it, or the descriptor of a bound socket, which it closes from then on.
 */
export async function bound(
  address: string,
  options: { address: string; port: number; exclusive: true } | { fd: number; exclusive: true },
): Promise<Socket> {
  const family = isIPv6(address) ? 6 : 4;
  const socket = createSocket({
    type: family === 6 ? 'udp6' : 'udp4',
    // Destinations are always literal addresses. Node.js' own lookup would delay every packet until the next tick.
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
  // Without a listener an error would end the process.
  socket.on('error', () => {});
  return socket;
}

/**
 * Sends each packet at once by `node:dgram`. While the kernel's send buffer is full, packets wait in the socket's queue, behind
 * those of other viewers.
 */
export class DgramWriter implements DestinationWriter {
  #memory = Buffer.allocUnsafeSlow(MAX_PACKET_BYTES);
  destination: Destination | undefined;
  /** Packets of this writer that wait. */
  #queued = 0;
  #packetsDropped = 0;
  readonly #dequeue = () => {
    this.#queued--;
  };

  get memory(): Buffer {
    return this.#memory;
  }

  get packetsDropped(): number {
    return this.#packetsDropped;
  }

  begin(): number {
    return 0;
  }

  send(bytes: number): void {
    if (!this.destination) return;
    const { socket, address, port } = this.destination;
    const waiting = socket.getSendQueueCount();
    if (waiting === 0) {
      socket.send(this.#memory, 0, bytes, port, address);
      // The kernel has usually copied the packet by now.
      if (socket.getSendQueueCount() === 0) return;
    } else if (this.#queued < MAX_QUEUED_PACKETS && waiting < MAX_SOCKET_QUEUED_PACKETS) {
      this.#queued++;
      socket.send(this.#memory, 0, bytes, port, address, this.#dequeue);
    } else {
      this.#packetsDropped++;
      return;
    }
    // The memory is needed until the kernel has copied the packet.
    this.#memory = Buffer.allocUnsafeSlow(MAX_PACKET_BYTES);
  }

  flush(): void {}
}
