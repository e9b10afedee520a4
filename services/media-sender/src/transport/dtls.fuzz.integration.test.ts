import { type FuzzRandom, fuzz, fuzzTimeoutMs, mutate } from '@humancast/testkit';
import { beforeAll, describe, expect, it } from 'vitest';
import { type ClientIdentity, makeIdentity } from '../../testing/dtls-client.js';
import { DtlsScene, type DtlsSceneOptions, type Network, type Transfer } from '../../testing/dtls-scene.js';
import { CONTENT } from './dtls-records.js';

const DATAGRAMS = { runs: 10_000, seconds: 5 };
const HANDSHAKES = { runs: 150, seconds: 5 };
const TIMEOUT_MS = fuzzTimeoutMs(DATAGRAMS);

let identities: ClientIdentity[];
/** Valid datagrams of clients, whole and in pieces, before, during and after the handshake. */
let corpus: Buffer[];

beforeAll(async () => {
  identities = [makeIdentity(), makeIdentity('rsa-2048')];
  corpus = [];
  for (const identity of identities) {
    for (const options of [{}, { oneRecordPerDatagram: true, helloPaddingBytes: 1500 }, { maxFragmentBytes: 100 }]) {
      const scene = await (await DtlsScene.create({ identity, ...options })).connect();
      corpus.push(...scene.sent.filter(({ to }) => to === 'server').map(({ datagram }) => datagram));
      for (const type of Object.values(CONTENT)) corpus.push(scene.client.seal(type, Buffer.from([1, 0])));
      scene.endpoint.close();
    }
  }
});

async function scene(random: FuzzRandom, options: Partial<DtlsSceneOptions> = {}): Promise<DtlsScene> {
  return DtlsScene.create({ identity: random.pick(identities), ...options });
}

/** Breaks one in five of the client's datagrams, or adds a stranger's datagram to it. */
function hostile(random: FuzzRandom): Network {
  return (onTheWay: Transfer[], transfer: Transfer) => {
    if (transfer.to === 'client' || random.chance(0.8)) {
      onTheWay.push(transfer);
      return;
    }
    const broken = { to: transfer.to, datagram: mutate(transfer.datagram, random, corpus) };
    onTheWay.push(broken, ...(random.chance(0.5) ? [transfer] : []));
  };
}

/** Keys must be given out only to a client that has the same ones. */
function expectNoFalseKeys({ endpoint, client }: DtlsScene): void {
  const keys = endpoint.srtpKeys();
  if (!keys) return;
  const { clientKey, serverKey } = client.exportSrtp(16, keys.local.masterSalt.length);
  expect([keys.remote.masterKey, keys.local.masterKey]).toEqual([clientKey, serverKey]);
}

describe('broken datagrams', () => {
  it('never throw and never yield keys before the handshake', { timeout: TIMEOUT_MS }, async () => {
    let endpoint: DtlsScene['endpoint'] | undefined;
    let events: string[] = [];
    const { runs } = await fuzz({ ...DATAGRAMS, corpus }, async (input, random) => {
      if (!endpoint || events.length > 0) ({ endpoint, events } = await scene(random));
      expect(endpoint.receive(input)).toBe(false);
      expect(endpoint.srtpKeys()).toBeUndefined();
    });
    endpoint?.close();
    expect(runs).toBeGreaterThan(0);
  });

  it('never throw and never yield keys that the client does not have during a handshake', {
    timeout: TIMEOUT_MS,
  }, async () => {
    let connected = 0;
    const { runs } = await fuzz({ ...HANDSHAKES, corpus }, async (_, random) => {
      const attempt = await scene(random, {
        network: hostile(random),
        oneRecordPerDatagram: random.chance(0.5),
        maxFragmentBytes: random.pick([100, 1100]),
      });
      await attempt.connect();
      expectNoFalseKeys(attempt);
      if (attempt.isConnected) connected++;
      attempt.endpoint.close();
    });
    expect(runs).toBeGreaterThan(0);
    expect(connected).toBeGreaterThan(0);
  });

  it('never end the connection after the handshake', { timeout: TIMEOUT_MS }, async () => {
    const attempt = await DtlsScene.create({ identity: identities[0] });
    await attempt.connect();
    expect(attempt.isConnected).toBe(true);
    const { runs } = await fuzz({ ...DATAGRAMS, corpus }, (input) => {
      expect(attempt.endpoint.receive(input)).toBe(false);
    });
    expect(runs).toBeGreaterThan(0);
    expect(attempt.events).toEqual(['established']);
    expectNoFalseKeys(attempt);
    attempt.endpoint.close();
  });
});

describe('broken messages in valid records', () => {
  it('never throw and never yield keys that the client does not have', { timeout: TIMEOUT_MS }, async () => {
    let refused = 0;
    const { runs } = await fuzz({ ...HANDSHAKES, corpus }, async (_, random) => {
      const attempt = await scene(random, {
        helloExtension: random.chance(0.5) ? random.bytes(random.below(40)) : undefined,
        distort: (flight) =>
          flight.map((message) =>
            random.chance(0.3) ? { ...message, body: mutate(message.body, random, corpus, 16_000) } : message,
          ),
      });
      await attempt.connect();
      expectNoFalseKeys(attempt);
      if (attempt.client.state === 'refused') refused++;
      attempt.endpoint.close();
    });
    expect(runs).toBeGreaterThan(0);
    expect(refused).toBeGreaterThan(0);
  });

  it('never throw when the client has the keys', { timeout: TIMEOUT_MS }, async () => {
    let attempt: DtlsScene | undefined;
    const { runs } = await fuzz({ ...DATAGRAMS, corpus }, async (input, random) => {
      if (attempt?.events.length !== 1) attempt = await (await scene(random)).connect();
      const plaintext = input.subarray(random.pick([0, 13]), 16_000);
      attempt.endpoint.receive(attempt.client.seal(random.pick(Object.values(CONTENT)), plaintext));
      expect(attempt.events.slice(0, 1)).toEqual(['established']);
    });
    attempt?.endpoint.close();
    expect(runs).toBeGreaterThan(0);
  });
});
