import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { makeCertificate } from '../../testing/dtls-client.js';
import { DtlsEndpoint, fingerprintOf, processCertificate } from './dtls.js';

/** Bytes of key and salt of AEAD_AES_128_GCM for both directions. */
const KEYING_MATERIAL_BYTES = 2 * (16 + 12);

const cleanUps: (() => void)[] = [];
afterEach(() => {
  for (const cleanUp of cleanUps.splice(0)) cleanUp();
});

/** A DTLS endpoint behind a UDP socket. @param loses whether the client's datagram with this index, from 0, is lost. */
async function serve(loses: (index: number) => boolean = () => false) {
  const socket: Socket = createSocket('udp4');
  cleanUps.push(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const established = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  let client: RemoteInfo | undefined;
  const endpoint = new DtlsEndpoint(
    await processCertificate(),
    (datagram) => client && socket.send(datagram, client.port, client.address),
    {
      established: () => established.resolve(),
      failed: (error) => established.reject(error),
      closed: () => closed.resolve(),
    },
  );
  cleanUps.push(() => endpoint.close());
  let received = 0;
  socket.on('message', (datagram, from) => {
    client = from;
    if (!loses(received++)) endpoint.receive(datagram);
  });
  const { port } = socket.address() as AddressInfo;
  return { endpoint, port, established: established.promise, closed: closed.promise };
}

function startClient(port: number, certificate: ReturnType<typeof makeCertificate>, args: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'humancast-dtls-'));
  cleanUps.push(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'certificate.pem'), certificate.certPem);
  writeFileSync(join(folder, 'key.pem'), certificate.keyPem);
  const client: ChildProcess = spawn('openssl', [
    's_client',
    '-dtls1_2',
    '-connect',
    `127.0.0.1:${port}`,
    '-cert',
    join(folder, 'certificate.pem'),
    '-key',
    join(folder, 'key.pem'),
    '-keymatexport',
    'EXTRACTOR-dtls_srtp',
    '-keymatexportlen',
    String(KEYING_MATERIAL_BYTES),
    ...args,
  ]);
  cleanUps.push(() => client.kill('SIGKILL'));
  let output = '';
  client.stdout?.on('data', (text) => {
    output += text;
  });
  client.stderr?.resume();
  return {
    /** Ends its input, after which it sends close_notify. */
    quit: () => client.stdin?.end('Q\n'),
    keyingMaterial: async () => {
      for (;;) {
        const hex = /Keying material: ([0-9A-F]+)/.exec(output)?.[1];
        if (hex?.length === 2 * KEYING_MATERIAL_BYTES) return Buffer.from(hex, 'hex');
        if (client.stdout) await once(client.stdout, 'data');
      }
    },
  };
}

const SRTP = ['-use_srtp', 'SRTP_AES128_CM_SHA1_80:SRTP_AEAD_AES_128_GCM'];

describe('OpenSSL as the client', () => {
  it.each([
    { what: 'a P-256 certificate', kind: 'p-256', args: [] },
    { what: 'an RSA certificate, as GStreamer’s', kind: 'rsa-2048', args: [] },
    { what: 'a flight of small datagrams', kind: 'rsa-2048', args: ['-mtu', '300'] },
    { what: 'key exchange on P-256', kind: 'p-256', args: ['-groups', 'P-256'] },
  ] as const)('connects with $what, has the same SRTP keys, and can close the connection', async ({ kind, args }) => {
    const certificate = makeCertificate(kind);
    const { endpoint, port, established, closed } = await serve();
    const client = startClient(port, certificate, [...SRTP, ...args]);
    await established;
    const keys = endpoint.srtpKeys();
    if (!keys) throw new Error('there are no keys');
    const { local, remote } = keys;
    expect(local.profile).toBe('AEAD_AES_128_GCM');
    const parts = [remote.masterKey, local.masterKey, remote.masterSalt, local.masterSalt];
    expect(Buffer.concat(parts)).toEqual(await client.keyingMaterial());
    const signatureHash = (await processCertificate()).signatureHash;
    expect(endpoint.isPeer([fingerprintOf({ ...certificate, signatureHash })])).toBe(true);
    client.quit();
    await closed;
  });

  it('connects when the first copy of each ClientHello is lost', async () => {
    const { port, established } = await serve((index) => index === 0 || index === 2);
    startClient(port, makeCertificate('p-256'), [...SRTP, '-timeout']);
    await established;
  });

  it('is rejected at once without a common SRTP profile', async () => {
    const { port, established } = await serve();
    startClient(port, makeCertificate('p-256'), ['-use_srtp', 'SRTP_AES128_CM_SHA1_32']);
    await expect(established).rejects.toThrow('no common parameters with the client');
  });
});
