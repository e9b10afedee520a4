import { createPrivateKey } from 'node:crypto';
import { FuzzRandom } from '@humancast/testkit';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  type ClientIdentity,
  type DtlsTestClientOptions,
  ECDSA_SHA256,
  makeIdentity,
  SRTP_AES_128_CM_SHA1_80,
  SRTP_AES_128_GCM,
} from '../../testing/dtls-client.js';
import { DtlsScene, type Network } from '../../testing/dtls-scene.js';
import { DtlsEndpoint, fingerprintOf, processCertificate } from './dtls.js';
import { ALERT } from './dtls-alert.js';
import { HANDSHAKE, type HandshakeMessage } from './dtls-handshake-inbox.js';
import { CONTENT, readRecords, writeRecord } from './dtls-records.js';

const FATAL = 2;
const WARNING = 1;
const USER_CANCELED = 90;

let identity: ClientIdentity;
let other: ClientIdentity;
let rsa: ClientIdentity;

beforeAll(() => {
  identity = makeIdentity();
  other = makeIdentity();
  rsa = makeIdentity('rsa-2048');
});

async function connected(options: Partial<DtlsTestClientOptions> = {}): Promise<DtlsScene> {
  const scene = await DtlsScene.create({ identity, ...options });
  await scene.connect();
  expect(scene).toMatchObject({ events: ['established'], problems: [], isConnected: true });
  return scene;
}

/** The keys of both directions at each end. */
function keysOf({ endpoint, client }: DtlsScene) {
  const keys = endpoint.srtpKeys();
  const theirs = client.exportSrtp(16, keys?.local.masterSalt.length ?? 0);
  const ours = {
    clientKey: keys?.remote.masterKey,
    serverKey: keys?.local.masterKey,
    clientSalt: keys?.remote.masterSalt,
    serverSalt: keys?.local.masterSalt,
  };
  return { ours, theirs };
}

function clearAlert(level: number, description: number): Buffer {
  return writeRecord({ type: CONTENT.alert, epoch: 0, sequence: 99, body: Buffer.from([level, description]) });
}

const changed =
  (type: number, change: (body: Buffer) => Buffer) =>
  (flight: readonly HandshakeMessage[]): HandshakeMessage[] =>
    flight.map((message) => (message.type === type ? { ...message, body: change(message.body) } : message));

describe('the handshake', () => {
  it.each([
    { offered: [SRTP_AES_128_CM_SHA1_80, SRTP_AES_128_GCM], agreed: 'AEAD_AES_128_GCM' },
    { offered: [SRTP_AES_128_CM_SHA1_80], agreed: 'AES128_CM_HMAC_SHA1_80' },
  ])('agrees on $agreed with the same keys at both ends', async ({ offered, agreed }) => {
    const scene = await connected({ srtpProfiles: offered });
    expect(scene.endpoint.srtpKeys()?.local.profile).toBe(agreed);
    const { ours, theirs } = keysOf(scene);
    expect(ours).toEqual(theirs);
    scene.endpoint.close();
  });

  it('identifies the certificate whose key the client has proven to have', async () => {
    const own = await processCertificate();
    const print = fingerprintOf(own);
    expect(print.value).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    const certificate = Buffer.from(own.certPem.replaceAll(/-----.*-----|\s/g, ''), 'base64');
    const key = createPrivateKey(own.keyPem);
    const { endpoint } = await connected({ identity: { certificate, key, algorithm: ECDSA_SHA256 } });
    expect(endpoint.isPeer([{ algorithm: 'SHA-256', value: print.value.toLowerCase() }])).toBe(true);
    expect(endpoint.isPeer([{ algorithm: 'sha-1', value: 'AA' }, print])).toBe(true);
    expect(endpoint.isPeer([])).toBe(false);
    expect(endpoint.isPeer([{ algorithm: 'sha-512', value: print.value }])).toBe(false);
    const wrong = print.value.replace(/^./, (digit) => (digit === '0' ? '1' : '0'));
    expect(endpoint.isPeer([{ algorithm: 'sha-256', value: wrong }])).toBe(false);
    endpoint.close();
  });

  it("yields neither keys nor a certificate before the client's proof", async () => {
    const scene = await DtlsScene.create({ identity, oneRecordPerDatagram: true });
    scene.client.start();
    while (scene.events.length === 0) {
      expect(scene.endpoint.srtpKeys()).toBeUndefined();
      await scene.deliver(1);
    }
    expect(scene.events).toEqual(['established']);
    expect(scene.endpoint.srtpKeys()).toBeDefined();
    scene.endpoint.close();
  });

  it.each(['rsa-2048', 'p-384'] as const)('accepts a client with a %s certificate', async (kind) => {
    const { endpoint } = await connected({ identity: kind === 'rsa-2048' ? rsa : makeIdentity(kind) });
    endpoint.close();
  });

  it('negotiates from the ClientHello that Finished covers, not from an earlier one that anyone could have sent', async () => {
    const downgraded = await DtlsScene.create({ identity, srtpProfiles: [SRTP_AES_128_CM_SHA1_80] });
    downgraded.client.start();
    const scene = await DtlsScene.create({ identity });
    for (const { datagram } of downgraded.sent) scene.endpoint.receive(datagram);
    await scene.connect();
    expect(scene).toMatchObject({ events: ['established'], isConnected: true });
    expect(scene.endpoint.srtpKeys()?.local.profile).toBe('AEAD_AES_128_GCM');
    scene.endpoint.close();
  });

  it('sends the flight with its certificate in one datagram', async () => {
    const { sent, endpoint } = await connected();
    const toClient = sent.filter(({ to }) => to === 'client').map(({ datagram }) => datagram);
    expect(toClient.map((datagram) => readRecords(datagram).records.length)).toEqual([1, 5, 2]);
    for (const { length } of toClient) expect(length).toBeLessThanOrEqual(1200);
    endpoint.close();
  });
});

describe('a client without a valid proof', () => {
  const refusals: { what: string; options: () => Partial<DtlsTestClientOptions>; alert: number; why: string }[] = [
    {
      what: 'shows the certificate of somebody else',
      options: () => ({ identity: { ...other, key: identity.key } }),
      alert: ALERT.decryptError,
      why: 'the client does not have the key of its certificate',
    },
    {
      what: 'signs something else than this handshake',
      options: () => ({
        distort: changed(HANDSHAKE.certificateVerify, (body) => {
          const signature = Buffer.from(body);
          signature.writeUInt8(signature.readUInt8(body.length - 1) ^ 1, body.length - 1);
          return signature;
        }),
      }),
      alert: ALERT.decryptError,
      why: 'the client does not have the key of its certificate',
    },
    {
      what: 'leaves out CertificateVerify',
      options: () => ({ omitCertificateVerify: true }),
      alert: ALERT.unexpectedMessage,
      why: 'received handshake message 20 instead of 15',
    },
    {
      what: 'has no certificate',
      options: () => ({ identity: undefined }),
      alert: ALERT.handshakeFailure,
      why: 'the client has no certificate',
    },
    {
      what: 'sends a wrong Finished',
      options: () => ({ distort: changed(HANDSHAKE.finished, (body) => Buffer.alloc(body.length)) }),
      alert: ALERT.decryptError,
      why: 'the Finished message does not match this handshake',
    },
    {
      what: 'sends a shorter Finished',
      options: () => ({ distort: changed(HANDSHAKE.finished, (body) => body.subarray(0, 4)) }),
      alert: ALERT.decryptError,
      why: 'the Finished message does not match this handshake',
    },
    {
      what: 'signs with an algorithm that was not offered',
      options: () => ({ identity: { ...identity, algorithm: 0x0503 } }),
      alert: ALERT.illegalParameter,
      why: 'signature algorithm 0x503 was not offered',
    },
    {
      what: 'signs with the algorithm of another kind of key',
      options: () => ({ identity: { ...rsa, algorithm: ECDSA_SHA256 } }),
      alert: ALERT.illegalParameter,
      why: 'signature algorithm 0x403 was not offered',
    },
    ...(['rsa-1024', 'rsa-with-a-large-exponent', 'p-521', 'ed25519'] as const).map((kind) => ({
      what: `has a certificate of ${kind}`,
      options: () => ({ identity: makeIdentity(kind) }),
      alert: ALERT.unsupportedCertificate,
      why: 'the key is neither P-256, P-384 nor RSA of 2048 to 4096 bits',
    })),
    {
      what: 'has a certificate that is none',
      options: () => ({ identity: { ...identity, certificate: Buffer.from('a certificate') } }),
      alert: ALERT.badCertificate,
      why: 'the certificate is malformed',
    },
    {
      what: 'sends a Certificate message with wrong lengths',
      options: () => ({ distort: changed(HANDSHAKE.certificate, (body) => body.subarray(0, -1)) }),
      alert: ALERT.decodeError,
      why: 'the Certificate message is malformed',
    },
  ];

  it.each(refusals)('is rejected with an alert and gets no keys when it $what', async ({ options, alert, why }) => {
    const scene = await DtlsScene.create({ identity, ...options() });
    await scene.connect();
    expect(scene.events).toEqual([`failed: ${why}`]);
    expect(scene.client).toMatchObject({ state: 'refused', alert });
    expect(scene.endpoint.srtpKeys()).toBeUndefined();
    expect(scene.endpoint.isPeer([fingerprintOf(await processCertificate())])).toBe(false);
  });
});

describe('a client without common parameters', () => {
  it.each([
    { what: 'no extended master secret', options: { extendedMasterSecret: false }, alert: ALERT.handshakeFailure },
    { what: 'no SRTP', options: { srtpProfiles: [] }, alert: ALERT.handshakeFailure },
    { what: 'SRTP profiles that are unknown', options: { srtpProfiles: [5, 6] }, alert: ALERT.handshakeFailure },
    { what: 'cipher suites that are unknown', options: { cipherSuites: [0x2f] }, alert: ALERT.handshakeFailure },
    { what: 'DTLS 1.0 only', options: { version: 0xfeff }, alert: ALERT.protocolVersion },
  ])('is refused at once when it offers $what', async ({ options, alert }) => {
    const scene = await DtlsScene.create({ identity, ...options });
    await scene.connect();
    expect(scene.events).toEqual([expect.stringContaining('failed: ')]);
    expect(scene.client).toMatchObject({ state: 'refused', alert });
  });

  it('is closed at once when it rejects our certificate', async () => {
    const scene = await DtlsScene.create({ identity });
    scene.client.start();
    await scene.deliver(2);
    scene.endpoint.receive(clearAlert(FATAL, ALERT.badCertificate));
    expect(scene.events).toEqual([`failed: the client refused the handshake with alert ${ALERT.badCertificate}`]);
  });

  it('stays connected after a warning', async () => {
    const scene = await DtlsScene.create({ identity });
    scene.client.start();
    await scene.deliver(2);
    scene.endpoint.receive(clearAlert(WARNING, USER_CANCELED));
    await scene.deliver();
    expect(scene.isConnected).toBe(true);
    scene.endpoint.close();
  });
});

describe('handshake datagrams that are lost, repeated, reordered or fragmented', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  /** Delivers datagrams, and advances both clocks when none is in flight. @returns how often it advanced them. */
  async function persist(scene: DtlsScene, limit: number): Promise<number> {
    await scene.connect();
    let waits = 0;
    for (; !scene.isConnected && waits < limit; waits++) {
      vi.advanceTimersByTime(1000);
      scene.client.repeat();
      await scene.deliver();
    }
    return waits;
  }

  function unreliable(random: FuzzRandom, { loss, repetition }: { loss: number; repetition: number }): Network {
    return (onTheWay, transfer) => {
      if (random.chance(loss)) return;
      for (let copies = random.chance(repetition) ? 3 : 1; copies > 0; copies--) {
        onTheWay.splice(random.below(onTheWay.length + 1), 0, transfer);
      }
    };
  }

  it.each(Array.from({ length: 60 }, (_, seed) => seed))(
    'lead to a connection with the same keys (seed %i)',
    async (seed) => {
      const random = new FuzzRandom(seed);
      const scene = await DtlsScene.create({
        identity: random.pick([identity, rsa]),
        oneRecordPerDatagram: random.chance(0.5),
        maxFragmentBytes: random.pick([50, 200, 1100]),
        helloPaddingBytes: random.pick([0, 1500]),
        network: unreliable(random, { loss: random.pick([0, 0.1, 0.3]), repetition: random.pick([0, 0.3]) }),
      });
      await persist(scene, 40);
      expect(scene).toMatchObject({ events: ['established'], isConnected: true });
      const { ours, theirs } = keysOf(scene);
      expect(ours).toEqual(theirs);
      scene.endpoint.close();
    },
  );

  it.each([
    { what: 'one message a datagram', options: { oneRecordPerDatagram: true } },
    { what: 'fragments of 20 bytes', options: { oneRecordPerDatagram: true, maxFragmentBytes: 20 } },
    { what: 'a ClientHello of two datagrams', options: { oneRecordPerDatagram: true, helloPaddingBytes: 1500 } },
  ])('cause no retransmission when each flight arrives in reverse order: $what', async ({ options }) => {
    const scene = await DtlsScene.create({
      identity: rsa,
      ...options,
      network: (onTheWay, transfer) => onTheWay.unshift(transfer),
    });
    expect(await persist(scene, 1)).toBe(0);
    expect(scene.isConnected).toBe(true);
    scene.endpoint.close();
  });

  it('cause no retransmission when all come three times and the first ClientHello again at the end', async () => {
    const scene = await DtlsScene.create({
      identity,
      oneRecordPerDatagram: true,
      network: (onTheWay, transfer) => onTheWay.push(transfer, transfer, transfer),
    });
    scene.client.start();
    const [hello] = scene.sent;
    if (!hello) throw new Error('there is no ClientHello');
    for (let i = 0; i < 200 && !scene.isConnected; i++) {
      await scene.deliver(1);
      scene.endpoint.receive(hello.datagram);
    }
    expect(scene).toMatchObject({ events: ['established'], isConnected: true });
    scene.endpoint.close();
  });

  it('are retransmitted eight times with new record numbers, first after 0.4 s, then after twice as long each time up to 3.2 s', async () => {
    const scene = await DtlsScene.create({ identity });
    scene.client.start();
    await scene.deliver(3);
    const before = scene.sent.length;
    const times: number[] = [];
    for (let elapsedMs = 100; elapsedMs <= 30_000; elapsedMs += 100) {
      const count = scene.sent.length;
      vi.advanceTimersByTime(100);
      if (scene.sent.length > count) times.push(elapsedMs);
    }
    expect(times).toEqual([400, 1200, 2800, 6000, 9200, 12_400, 15_600, 18_800]);
    const repeated = scene.sent.slice(before).map(({ datagram }) => readRecords(datagram).records);
    expect(repeated).toHaveLength(times.length);
    const numbers = repeated.flatMap((records) => records.map(({ sequence }) => sequence));
    expect(new Set(numbers).size).toBe(numbers.length);
    scene.endpoint.close();
  });

  it('are not retransmitted after the connection is closed', async () => {
    const scene = await DtlsScene.create({ identity });
    scene.client.start();
    await scene.deliver(3);
    scene.endpoint.close();
    const count = scene.sent.length;
    vi.advanceTimersByTime(30_000);
    expect(scene.sent).toHaveLength(count);
  });

  it('are retransmitted at most ten times when the client repeats its flight', async () => {
    const scene = await DtlsScene.create({ identity });
    scene.client.start();
    await scene.deliver(3);
    const hello = scene.sent.filter(({ to }) => to === 'server').at(1);
    if (!hello) throw new Error('there is no second ClientHello');
    const count = scene.sent.length;
    for (let i = 0; i < 100; i++) scene.endpoint.receive(hello.datagram);
    expect(scene.sent.length - count).toBe(10);
    scene.endpoint.close();
  });
});

describe('invalid datagrams', () => {
  it('of any length are dropped and counted in every state without other effects', async () => {
    const scene = await DtlsScene.create({ identity });
    const broken = [
      '16',
      '1600',
      '16fefd000000000000000000',
      '16fefd00000000000000000001',
      '16fefd0001000000000000ffff',
    ];
    const sendBroken = () => {
      scene.problems.length = 0;
      for (const hex of broken) expect(scene.endpoint.receive(Buffer.from(hex, 'hex'))).toBe(false);
      expect(scene.problems).toEqual(broken.map(() => 'malformed'));
    };
    sendBroken();
    scene.client.start();
    while (!scene.isConnected) {
      await scene.deliver(1);
      sendBroken();
    }
    expect(scene.events).toEqual(['established']);
    scene.endpoint.close();
  });

  it('truncated anywhere neither throw nor end the handshake', async () => {
    const scene = await DtlsScene.create({ identity });
    scene.client.start();
    let read = 0;
    while (!scene.isConnected) {
      for (const { to, datagram } of scene.sent.slice(read)) {
        if (to === 'client') continue;
        for (let length = 0; length < datagram.length - 1; length++) {
          // A complete first record with a broken second one would advance the handshake.
          if (readRecords(datagram.subarray(0, length)).records.length === 0) {
            scene.endpoint.receive(datagram.subarray(0, length));
          }
        }
      }
      read = scene.sent.length;
      await scene.deliver(1);
    }
    expect(scene.events).toEqual(['established']);
    scene.endpoint.close();
  });
});

describe('an established connection', () => {
  it('sends close_notify once when it is closed', async () => {
    const scene = await connected();
    scene.endpoint.close();
    scene.endpoint.close();
    await scene.deliver();
    expect(scene.client).toMatchObject({ state: 'closed', alert: ALERT.closeNotify });
    expect(scene.sent.slice(-2).map(({ to }) => to)).toEqual(['client', 'client']);
  });

  it('ignores and counts datagrams that anyone could have sent', async () => {
    const scene = await connected();
    const before = scene.endpoint.srtpKeys();
    const [clientHello] = scene.sent;
    if (!clientHello) throw new Error('there is no ClientHello');
    const protectedJunk = (type: number) =>
      writeRecord({ type, epoch: 1, sequence: 7, body: Buffer.alloc(26 + type, type) });
    const forged = [
      clearAlert(WARNING, ALERT.closeNotify),
      clearAlert(FATAL, ALERT.internalError),
      clientHello.datagram,
      Buffer.concat([clientHello.datagram, clearAlert(FATAL, ALERT.internalError)]),
      protectedJunk(CONTENT.alert),
      protectedJunk(CONTENT.handshake),
      writeRecord({ type: CONTENT.alert, epoch: 1, sequence: 8, body: Buffer.from([2, 0]) }),
      writeRecord({ type: CONTENT.alert, epoch: 2, sequence: 1, body: Buffer.alloc(40) }),
      ...scene.sent.filter(({ to }) => to === 'server').map(({ datagram }) => datagram),
    ];
    for (const datagram of forged) expect(scene.endpoint.receive(datagram)).toBe(false);
    expect(scene.problems).toEqual(forged.map(() => 'unauthenticated'));
    scene.problems.length = 0;
    expect(scene.endpoint.receive(Buffer.from('20fefd000000000000000900020100', 'hex'))).toBe(false);
    expect(scene.problems).toEqual(['malformed']);
    await scene.deliver();
    expect(scene.events).toEqual(['established']);
    expect(scene.endpoint.srtpKeys()).toEqual(before);
    scene.endpoint.close();
  });

  it.each([
    { what: 'close_notify', body: [WARNING, ALERT.closeNotify] },
    { what: 'a fatal alert', body: [FATAL, ALERT.internalError] },
  ])("ends on the client's $what", async ({ body }) => {
    const scene = await connected();
    expect(scene.endpoint.receive(scene.client.seal(CONTENT.alert, Buffer.from(body)))).toBe(true);
    expect(scene.events).toEqual(['established', 'closed']);
  });

  it('ignores application data and a second handshake', async () => {
    const scene = await connected();
    const keys = scene.endpoint.srtpKeys();
    const [hello] = scene.sent;
    if (!hello) throw new Error('there is no ClientHello');
    scene.endpoint.receive(scene.client.seal(CONTENT.applicationData, Buffer.from('data')));
    expect(scene.problems).toEqual(['unsupported']);
    const count = scene.sent.length;
    expect(scene.endpoint.receive(scene.client.seal(CONTENT.handshake, hello.datagram.subarray(13)))).toBe(true);
    scene.endpoint.receive(scene.client.seal(CONTENT.alert, Buffer.from([WARNING, USER_CANCELED])));
    expect(scene.sent).toHaveLength(count);
    expect(scene.events).toEqual(['established']);
    expect(scene.endpoint.srtpKeys()).toEqual(keys);
    scene.endpoint.close();
  });

  it('repeats its Finished when the client repeats its own, but not for a replayed datagram', async () => {
    const scene = await connected();
    const count = scene.sent.length;
    scene.client.repeat();
    await scene.deliver();
    const since = scene.sent.slice(count);
    expect(since.map(({ to }) => to)).toEqual(['server', 'client']);
    const copy = since[0]?.datagram ?? Buffer.alloc(0);
    scene.endpoint.receive(copy);
    expect(scene.sent).toHaveLength(count + 2);
    scene.endpoint.close();
  });
});

describe('an exception in a listener', () => {
  it('ends only its own connection', async () => {
    const failures: string[] = [];
    const endpoint = new DtlsEndpoint(await processCertificate(), () => {}, {
      established: () => {},
      failed: (error) => {
        failures.push(error.message);
        throw new Error('and this is not heard');
      },
      closed: () => {},
      dropped: () => {
        throw new Error('counting failed');
      },
    });
    expect(endpoint.receive(Buffer.from([22]))).toBe(false);
    expect(endpoint.receive(Buffer.from([22]))).toBe(false);
    expect(failures).toEqual(['counting failed']);
  });
});
