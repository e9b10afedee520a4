import type { Socket } from 'node:net';

/** In which a viewer that has agreed to close has closed, too; browsers wait for us for two seconds. */
const LINGER_MS = 400;

/**
 * Lets the viewer close the TCP connection first. Whoever does keeps it in TIME_WAIT for a minute (RFC 9293 §3.6.1), and a
 * server that does it for all who come and go runs out of memory and ports long before they run out of anything. RFC 6455
 * §7.1.1 would have it the other way round, and `ws` does it that way: it ends the connection as soon as both have said
 * close. Here the viewer has a moment to do it; then the connection is reset, which leaves nothing behind on either side, and
 * by then our last message has long arrived.
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
