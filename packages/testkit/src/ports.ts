import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';

/** Ports returned before: the system reuses a port as soon as it is free. */
const given = new Set<number>();

/** @returns A free TCP port on loopback, never the same twice in a process. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = await ephemeralPort();
    if (given.has(port)) continue;
    given.add(port);
    return port;
  }
}

async function ephemeralPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/**
 * @returns An IPv4 address of this machine other than loopback. Packets to it stay on the machine.
 * @throws Error if it has none.
 */
export function ownAddress(): string {
  const own = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal, address }) => family === 'IPv4' && !internal && !address.startsWith('169.254.'));
  if (!own) throw new Error('this machine has no IPv4 address but loopback');
  return own.address;
}
