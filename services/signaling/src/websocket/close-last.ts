import type { Socket } from 'node:net';

/** How long to wait for the client's FIN after the close handshake. Browsers wait for the server's for 2 s. */
const LINGER_MS = 400;

/**
 * Lets the client close the TCP connection first. The side that closes first keeps the socket in TIME_WAIT for a minute
 * (RFC 9293 §3.6.1); a server that does so for every client runs out of memory and ports. RFC 6455 §7.1.1 asks the server to
 * close first, and `ws` does, right after the close handshake. This delays it by {@link LINGER_MS}; then the connection is
 * reset, which leaves no state on either side.
 */
export function closeLast(socket: Socket): void {
  const end = socket.end.bind(socket) as () => Socket;
  let reset: NodeJS.Timeout | undefined;
  socket.once('close', () => clearTimeout(reset));
  socket.end = () => {
    if (socket.readableEnded) return end();
    reset ??= setTimeout(() => socket.resetAndDestroy(), LINGER_MS);
    return socket;
  };
}
