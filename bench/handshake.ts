/**
 * CPU that a viewer's DTLS handshake costs the media-sender: the time for which the event loop, and with it every session's
 * packets, waits. The client is werift's, in the same process; only what the server does is counted.
 *
 *     npm run build && npm run bench:handshake [handshakes]
 *
 * Prints a line for people and one of JSON.
 */
import { cpus } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { DtlsClient, ProtectionProfileAeadAes128Gcm } from 'werift';
import { DtlsEndpoint, processCertificate } from '../services/media-sender/dist/transport/dtls.js';

/** More than the promises of one answer. */
const MICROTASKS = 50;
const WARM_UP = 20;
const AT_ONCE = 10;

const own = await processCertificate();

/** Waits for the server's answers, which werift gives asynchronously, but for nothing else. */
async function settle(): Promise<void> {
  for (let i = 0; i < MICROTASKS; i++) await undefined;
}

/** @returns milliseconds of one handshake, and of its longest step. */
async function handshake(): Promise<{ totalMs: number; longestMs: number }> {
  const steps: number[] = [];
  const established = Promise.withResolvers<void>();
  const toServer: Buffer[] = [];
  const toClient: Buffer[] = [];
  const timed = async (step: () => void) => {
    const startedAt = performance.now();
    step();
    await settle();
    steps.push(performance.now() - startedAt);
  };
  let endpoint: DtlsEndpoint | undefined;
  await timed(() => {
    endpoint = new DtlsEndpoint(own, (datagram) => toClient.push(Buffer.from(datagram)), {
      established: () => established.resolve(),
      failed: (error) => established.reject(error),
      closed: () => {},
    });
  });
  const client = new DtlsClient({
    cert: own.certPem,
    key: own.keyPem,
    signatureHash: own.signatureHash,
    srtpProfiles: [ProtectionProfileAeadAes128Gcm],
    extendedMasterSecret: true,
    transport: {
      type: 'memory',
      address: { address: '', family: '', port: 0 },
      closed: false,
      onData: () => {},
      send: async (datagram) => {
        toServer.push(datagram);
      },
      close: async () => {},
    },
  });
  let done = false;
  const finished = Promise.all([established.promise, client.connect()]).finally(() => {
    done = true;
  });
  while (!done) {
    await turn();
    for (const datagram of toServer.splice(0)) await timed(() => endpoint?.receive(datagram));
    for (const datagram of toClient.splice(0)) client.transport.socket.onData(datagram, ['', 0]);
  }
  await finished;
  endpoint?.close();
  return { totalMs: steps.reduce((sum, ms) => sum + ms, 0), longestMs: Math.max(...steps) };
}

const handshakes = Number(process.argv[2] ?? 100);
const results: { totalMs: number; longestMs: number }[] = [];
for (let i = 0; i < WARM_UP + handshakes; i += AT_ONCE) {
  const some = await Promise.all(Array.from({ length: AT_ONCE }, handshake));
  if (i >= WARM_UP) results.push(...some);
}
const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
const totalMs = Number(median(results.map((result) => result.totalMs)).toFixed(2));
const longestMs = Number(median(results.map((result) => result.longestMs)).toFixed(2));
console.log(`a DTLS handshake takes ${totalMs} ms of the media-sender, at most ${longestMs} ms in one turn (medians)`);
console.log(JSON.stringify({ handshakes: results.length, totalMs, longestMs, cpu: cpus()[0]?.model }));
