import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/**
 * @typedef {object} PortUse
 * @property {string} variable the setting that changes it
 * @property {number} port
 * @property {string} address
 * @property {'tcp' | 'udp'} protocol
 * @property {string} what name of its user
 */

/**
 * Finds port problems, one line per port: ports in use, and ports configured twice.
 * @param {readonly PortUse[]} uses
 * @returns {Promise<string[]>}
 */
export async function portProblems(uses) {
  const twice = uses.flatMap((use, i) => {
    // One program may listen on several addresses.
    const first = uses
      .slice(0, i)
      .find((other) => other.port === use.port && other.protocol === use.protocol && other.what !== use.what);
    return first ? [`port ${use.port} is configured for ${first.what} and for ${use.what}: ${change(use)}`] : [];
  });
  if (twice.length > 0) return twice;
  const problems = await Promise.all(uses.map(problemOf));
  return problems.filter((problem) => problem !== undefined);
}

/** @param {PortUse} use */
async function problemOf(use) {
  if (use.port < 1 || use.port > 65_535)
    return `${use.what} needs a port from 1 to 65535, not ${use.port}: ${change(use)}`;
  const code = await (use.protocol === 'tcp' ? tryTcp(use) : tryUdp(use));
  const port = `port ${use.port}/${use.protocol} on ${use.address}, configured for ${use.what},`;
  switch (code) {
    case undefined:
      return undefined;
    case 'EADDRINUSE':
      return `${port} is in use by another program: ${change(use)}`;
    case 'EACCES':
      return `${port} needs root: ${change(use)}`;
    default:
      return `${port} cannot be used (${code}): ${change(use)}`;
  }
}

/** @param {PortUse} use */
const change = ({ variable }) => `set another with ${variable}=…`;

/** @param {PortUse} use @returns {Promise<string | undefined>} the error's code */
function tryTcp({ port, address }) {
  const server = createServer();
  return new Promise((done) => {
    server.once('error', (/** @type {NodeJS.ErrnoException} */ error) => done(error.code));
    server.listen({ port, host: address, exclusive: true }, () => server.close(() => done(undefined)));
  });
}

/** @param {PortUse} use @returns {Promise<string | undefined>} the error's code */
function tryUdp({ port, address }) {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  return new Promise((done) => {
    socket.once('error', (/** @type {NodeJS.ErrnoException} */ error) => {
      socket.close();
      done(error.code);
    });
    socket.bind({ port, address, exclusive: true }, () => socket.close(() => done(undefined)));
  });
}
