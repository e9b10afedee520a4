/**
 * Measures the CPU of a viewer's DTLS handshake on the media-sender's main thread, which delays the packets of all sessions.
 * The client is werift's, in the same process; only the server's share is counted.
 *
 *     npm run build && npm run bench:handshake [handshakes]
 *
 * Prints a line of text and one of JSON.
 */
import { cpus } from 'node:os';
import { setImmediate as turn } from 'node:timers/promises';
import { DtlsClient, ProtectionProfileAeadAes128Gcm } from 'werift';
import { DtlsEndpoint, processCertificate } from '../services/media-sender/dist/transport/dtls.js';

/** More turns than the promises of one answer take. */
const MICROTASKS = 50;
const WARM_UP = 100;
const AT_ONCE = 20;

const own = await processCertificate();

/** Waits for the server's asynchronous answers, and for nothing else. */
async function settle(): Promise<void> {
  for (let i = 0; i < MICROTASKS; i++) await undefined;
}

/** @returns CPU time of one handshake, ms. */
async function handshake(): Promise<number> {
  let cpuMs = 0;
  const established = Promise.withResolvers<void>();
  const toServer: Buffer[] = [];
  const toClient: Buffer[] = [];
  const timed = async (step: () => void) => {
    const before = process.threadCpuUsage();
    step();
    await settle();
    const { user, system } = process.threadCpuUsage(before);
    cpuMs += (user + system) / 1000;
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
  return cpuMs;
}

const handshakes = Number(process.argv[2] ?? 1000);
let sumMs = 0;
for (let i = -WARM_UP; i < handshakes; i += AT_ONCE) {
  const some = await Promise.all(Array.from({ length: AT_ONCE }, handshake));
  // The kernel counts a thread's time in steps longer than a handshake, so only the mean is meaningful.
  if (i >= 0) sumMs += some.reduce((sum, ms) => sum + ms, 0);
}
const cpuMs = Number((sumMs / handshakes).toFixed(2));
console.log(`a DTLS handshake takes ${cpuMs} ms of the media-sender's CPU (mean of ${handshakes})`);
console.log(JSON.stringify({ handshakes, cpuMs, cpu: cpus()[0]?.model }));
