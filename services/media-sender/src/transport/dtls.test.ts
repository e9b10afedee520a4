import { describe, expect, it } from 'vitest';
import {
  CipherContext,
  DtlsClient,
  HashAlgorithm,
  NamedCurveAlgorithm,
  ProtectionProfileAeadAes128Gcm,
  ProtectionProfileAes128CmHmacSha1_80,
  SignatureAlgorithm,
} from 'werift';
import { type DtlsCertificate, DtlsEndpoint, fingerprintOf, processCertificate } from './dtls.js';

type Profiles = (typeof ProtectionProfileAeadAes128Gcm | typeof ProtectionProfileAes128CmHmacSha1_80)[];

const newCertificate = () =>
  CipherContext.createSelfSignedCertificateWithKey(
    { signature: SignatureAlgorithm.ecdsa_3, hash: HashAlgorithm.sha256_4 },
    NamedCurveAlgorithm.secp256r1_23,
  );

/** An endpoint and a client in memory, each handing its datagrams to the other. */
async function handshake(srtpProfiles: Profiles, clientCertificate?: DtlsCertificate) {
  const own = await processCertificate();
  const viewer = clientCertificate ?? own;
  const events: string[] = [];
  const established = Promise.withResolvers<void>();
  const toEndpoint: Buffer[] = [];
  const endpoint: DtlsEndpoint = new DtlsEndpoint(
    own,
    (datagram) => queueMicrotask(() => client.transport.socket.onData(datagram, ['', 0])),
    {
      established: () => established.resolve(),
      failed: (error) => established.reject(error),
      closed: () => events.push('closed'),
    },
  );
  const client = new DtlsClient({
    cert: viewer.certPem,
    key: viewer.keyPem,
    signatureHash: viewer.signatureHash,
    srtpProfiles,
    extendedMasterSecret: true,
    transport: {
      type: 'memory',
      address: { address: '', family: '', port: 0 },
      closed: false,
      onData: () => {},
      send: async (datagram) => {
        toEndpoint.push(datagram);
        queueMicrotask(() => endpoint.receive(datagram));
      },
      close: async () => {},
    },
  });
  client.onClose.subscribe(() => events.push('client closed'));
  await Promise.all([established.promise, client.connect()]);
  return { endpoint, client, events, toEndpoint };
}

describe('the handshake', () => {
  it.each([
    { offered: [ProtectionProfileAes128CmHmacSha1_80, ProtectionProfileAeadAes128Gcm], agreed: 'AEAD_AES_128_GCM' },
    { offered: [ProtectionProfileAes128CmHmacSha1_80], agreed: 'AES128_CM_HMAC_SHA1_80' },
  ] as { offered: Profiles; agreed: string }[])('agrees on $agreed, and both ends have the keys', async (example) => {
    const { endpoint, client } = await handshake(example.offered);
    const keys = endpoint.srtpKeys();
    expect(keys?.local.profile).toBe(example.agreed);
    const theirs = client.extractSessionKeys(16, keys?.local.masterSalt.length ?? 0);
    expect(keys?.local).toMatchObject({ masterKey: theirs.remoteKey, masterSalt: theirs.remoteSalt });
    expect(keys?.remote).toMatchObject({ masterKey: theirs.localKey, masterSalt: theirs.localSalt });
    endpoint.close();
  });

  it('tells whose certificate it was', async () => {
    const { endpoint } = await handshake([ProtectionProfileAeadAes128Gcm]);
    const print = fingerprintOf(await processCertificate());
    expect(print.value).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    expect(endpoint.isPeer([{ algorithm: 'SHA-256', value: print.value.toLowerCase() }])).toBe(true);
    expect(endpoint.isPeer([{ algorithm: 'sha-1', value: 'AA' }, print])).toBe(true);
    expect(endpoint.isPeer([])).toBe(false);
    expect(endpoint.isPeer([{ algorithm: 'sha-512', value: print.value }])).toBe(false);
    expect(endpoint.isPeer([{ algorithm: 'sha-256', value: print.value.replace(/^../, '00') }])).toBe(
      print.value.startsWith('00'),
    );
    endpoint.close();
  });
});

describe('a client that shows a certificate that is not its own', () => {
  it('is refused, and no keys are given out', async () => {
    const victim = await newCertificate();
    const attacker = await newCertificate();
    const impostor = handshake([ProtectionProfileAeadAes128Gcm], { ...victim, keyPem: attacker.keyPem });
    await expect(impostor).rejects.toThrow('the client does not have the key of its certificate');
  });
});

describe('once established', () => {
  it('says goodbye, once', async () => {
    const { endpoint, events } = await handshake([ProtectionProfileAeadAes128Gcm]);
    endpoint.close();
    endpoint.close();
    await Promise.resolve();
    expect(events).toEqual(['client closed']);
  });

  it('hears nothing that anyone could have said', async () => {
    const { endpoint, events, toEndpoint } = await handshake([ProtectionProfileAeadAes128Gcm]);
    const before = endpoint.srtpKeys();
    const [clientHello] = toEndpoint;
    const closeAlertInClear = Buffer.from('15fefd000000000000000900020100', 'hex');
    const unknownInClear = Buffer.from('20fefd000000000000000900020100', 'hex');
    if (!clientHello) throw new Error('no handshake');
    for (const forged of [
      closeAlertInClear,
      unknownInClear,
      clientHello,
      Buffer.concat([clientHello, closeAlertInClear]),
    ]) {
      endpoint.receive(forged);
    }
    endpoint.receive(Buffer.from([22]));
    await Promise.resolve();
    expect(events).toEqual([]);
    expect(endpoint.srtpKeys()).toEqual(before);
    endpoint.close();
  });
});
