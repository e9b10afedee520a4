import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { ConcurrencyLimiter } from './concurrency-limiter.js';
import { networkOf } from './network.js';
import type { TrustedProxies } from './trusted-proxies.js';

/** Interval of Node.js's checks of time limits, ms; its default of 30 s would turn a limit of 10 s into up to 40 s. */
const CHECK_MS = 1000;

export interface ConnectionLimits {
  readonly trustProxy: TrustedProxies;
  readonly connectionLimit: number;
  readonly connectionsPerAddress: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

/**
 * Limits the TCP connections to a server, in total and per address, and the time that each may take to send a request.
 * Connections above a limit are closed without an answer; requests that take too long get 408. Trusted proxies carry many
 * callers each, so they are limited in total only. Call it before the server listens.
 * @param onRejected Called with the setting whose limit was reached.
 */
export function guardConnections(
  server: Server,
  limits: ConnectionLimits,
  onRejected: (setting: string) => void,
): void {
  const { trustProxy, connectionLimit, connectionsPerAddress, headersTimeoutMs, requestTimeoutMs } = limits;
  server.maxConnections = connectionLimit;
  server.on('drop', () => onRejected('CONNECTION_LIMIT'));
  server.headersTimeout = Math.min(headersTimeoutMs, requestTimeoutMs);
  server.requestTimeout = requestTimeoutMs;
  // An option of `createServer`, which the framework calls; it is read when the server begins to listen.
  Object.assign(server, { connectionsCheckingInterval: CHECK_MS });
  const perNetwork = new ConcurrencyLimiter({
    setting: 'CONNECTIONS_PER_ADDRESS',
    what: 'connections',
    limit: connectionsPerAddress,
  });
  // Runs before the HTTP parser gets the socket, so that a destroyed one is never read.
  server.prependListener('connection', (socket: Socket) => {
    const address = socket.remoteAddress;
    if (address === undefined || trustProxy.trusts(address)) return;
    try {
      socket.once('close', perNetwork.acquire(networkOf(address)));
    } catch {
      onRejected('CONNECTIONS_PER_ADDRESS');
      socket.destroy();
    }
  });
}
