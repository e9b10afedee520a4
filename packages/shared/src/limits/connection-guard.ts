import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { ConcurrencyLimiter } from './concurrency-limiter.js';
import { networkOf } from './network.js';
import type { TrustedProxies } from './trusted-proxies.js';

/** Interval of Node.js's time limit checks, ms; with its default of 30 s, a limit of 10 s would be one of 40 s. */
const LOOK_MS = 1000;

export interface ConnectionLimits {
  readonly trustProxy: TrustedProxies;
  readonly connectionLimit: number;
  readonly connectionsPerAddress: number;
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
}

/**
 * Limits the TCP connections to a server, in all and per address, and how long each may take to send a request. Connections
 * beyond are closed without an answer; requests that take too long get 408. Our own proxies bring many callers each and
 * are limited in all only. Call it before the server listens.
 * @param onRefused told the setting whose limit was reached.
 */
export function guardConnections(server: Server, limits: ConnectionLimits, onRefused: (setting: string) => void): void {
  const { trustProxy, connectionLimit, connectionsPerAddress, headersTimeoutMs, requestTimeoutMs } = limits;
  server.maxConnections = connectionLimit;
  server.on('drop', () => onRefused('CONNECTION_LIMIT'));
  server.headersTimeout = Math.min(headersTimeoutMs, requestTimeoutMs);
  server.requestTimeout = requestTimeoutMs;
  // An option of `createServer`, which the framework calls; it is read when the server begins to listen.
  Object.assign(server, { connectionsCheckingInterval: LOOK_MS });
  const perNetwork = new ConcurrencyLimiter({
    setting: 'CONNECTIONS_PER_ADDRESS',
    what: 'connections',
    limit: connectionsPerAddress,
  });
  // Before the HTTP parser gets the socket, so that a destroyed one is never read.
  server.prependListener('connection', (socket: Socket) => {
    const address = socket.remoteAddress;
    if (address === undefined || trustProxy.trusts(address)) return;
    try {
      socket.once('close', perNetwork.acquire(networkOf(address)));
    } catch {
      onRefused('CONNECTIONS_PER_ADDRESS');
      socket.destroy();
    }
  });
}
