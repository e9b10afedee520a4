import { loadConfig, loaderSettings, senderSettings, setting, signalingSettings } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { mediaAddress } from './media-address.mjs';
import { portsOf, serviceSpecs } from './stack.mjs';
import { startSettings } from './start-config.mjs';

const NAMES = ['api-key', 'api-keys', 'say-key', 'token-secret', 'turn-secret'] as const;
const SECRETS = Object.fromEntries(NAMES.map((name) => [name, `/state/${name}`])) as Record<
  (typeof NAMES)[number],
  string
>;

function configOf(demoProducer: boolean) {
  const env = { BIND_ADDRESS: '0.0.0.0', TOKEN_SECRET: 'a-secret-of-the-tests' };
  return {
    ...loadConfig(startSettings(setting), env),
    signaling: loadConfig(signalingSettings, env),
    loader: loadConfig(loaderSettings, { ...env, BIND_ADDRESS: '127.0.0.1' }),
    sender: loadConfig(senderSettings, env),
    mediaAddress: '192.0.2.7',
    senders: 1,
    demo: { mode: 'off' } as const,
    demoProducer,
    env,
  };
}

describe('BIND_ADDRESS', () => {
  it('opens signaling to other machines, but not the segment-loader', () => {
    const specs = serviceSpecs(configOf(true), SECRETS);
    const addressOf = (name: string) => specs.find((spec) => spec.name === name)?.env?.['BIND_ADDRESS'];
    expect([addressOf('signaling'), addressOf('segment-loader')]).toEqual(['0.0.0.0', '127.0.0.1']);
    const ports = portsOf(configOf(true));
    expect(ports.find(({ variable }) => variable === 'LOADER_PORT')?.address).toBe('127.0.0.1');
  });
});

describe('media address', () => {
  it('is not loopback if there is another, because Firefox rejects a TURN server on loopback', () => {
    const env = serviceSpecs(configOf(true), SECRETS).find(({ name }) => name === 'signaling')?.env;
    expect(env?.['TURN_URLS']).toBe('turn:192.0.2.7:3478?transport=udp,turn:192.0.2.7:3478?transport=tcp');
    expect(env?.['HOST_ADDRESSES']).toBe('192.0.2.7,127.0.0.1');
    const turn = portsOf(configOf(true)).filter(({ variable }) => variable === 'TURN_PORT');
    expect(turn.map(({ address, protocol }) => [address, protocol])).toEqual([
      ['192.0.2.7', 'tcp'],
      ['192.0.2.7', 'udp'],
      ['127.0.0.1', 'tcp'],
      ['127.0.0.1', 'udp'],
    ]);
  });

  it.each([
    ['the first external IPv4 address', { lo: [own('127.0.0.1', true)], eth0: [own('10.0.0.5')] }, '10.0.0.5'],
    ['no link-local one', { eth0: [own('169.254.1.2')], wlan0: [own('192.168.1.9')] }, '192.168.1.9'],
    ['loopback if there is no other', { lo: [own('127.0.0.1', true)] }, '127.0.0.1'],
  ])('uses %s', (_, interfaces, address) => {
    expect(mediaAddress('', interfaces)).toBe(address);
    expect(mediaAddress('10.9.9.9', interfaces)).toBe('10.9.9.9');
  });
});

function own(address: string, internal = false) {
  return { address, internal, family: 'IPv4', netmask: '255.255.255.0', mac: '', cidr: null } as const;
}

describe('demo producer', () => {
  it('matches signaling’s settings, finds the services, and is closed to other machines', () => {
    const specs = serviceSpecs(configOf(true), SECRETS);
    const envOf = (name: string) => specs.find((spec) => spec.name === name)?.env;
    expect(envOf('signaling')?.['SAY_URL']).toBe('http://127.0.0.1:8082');
    expect(envOf('demo-producer')).toMatchObject({
      BIND_ADDRESS: '127.0.0.1',
      SAY_PORT: '8082',
      SIGNALING_URL: 'http://127.0.0.1:8080',
      LOADER_URL: 'http://127.0.0.1:8081',
      HUMANCAST_API_KEY_FILE: SECRETS['say-key'],
    });
    expect(portsOf(configOf(true)).map(({ variable }) => variable)).toEqual(expect.arrayContaining(['SAY_PORT']));
  });

  it('is absent with --no-demo-producer', () => {
    const specs = serviceSpecs(configOf(false), SECRETS);
    expect(specs.map(({ name }) => name)).toEqual(['signaling', 'segment-loader', 'media-sender']);
    expect(specs.every(({ env }) => env?.['SAY_URL'] === undefined)).toBe(true);
    expect(portsOf(configOf(false)).map(({ variable }) => variable)).not.toContain('SAY_PORT');
  });
});
