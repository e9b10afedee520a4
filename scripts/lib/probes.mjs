import { connect } from 'node:net';

const TIMEOUT_MS = 1000;

/** @typedef {() => Promise<string | undefined>} Probe `undefined` if ready, else the reason */

/** Probes a service's readiness. @param {string} url its `/readyz` @returns {Probe} */
export function httpProbe(url) {
  return async () => {
    try {
      const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
      const body = (await response.text()).trim();
      return response.ok ? undefined : body || `status ${response.status}`;
    } catch {
      return `no answer at ${url}`;
    }
  };
}

/**
 * Probes a TCP port, optionally with a request and the expected answer.
 * @param {string} host
 * @param {number} port
 * @param {{ ask: string, expect: string }} [exchange]
 * @returns {Probe}
 */
export function tcpProbe(host, port, exchange) {
  return () =>
    new Promise((done) => {
      const socket = connect({ host, port, timeout: TIMEOUT_MS });
      const end = (/** @type {string | undefined} */ reason) => {
        socket.destroy();
        done(reason);
      };
      socket.once('error', () => end(`nothing listens on port ${port}`));
      socket.once('timeout', () => end(`no answer on port ${port}`));
      socket.once('connect', () => (exchange ? socket.write(exchange.ask) : end(undefined)));
      socket.once('data', (data) => {
        const answer = data.toString('utf8').trim();
        end(exchange && answer.startsWith(exchange.expect) ? undefined : `unexpected answer "${answer.slice(0, 100)}"`);
      });
    });
}
