import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isLoopback, uriHost } from './media-address.mjs';
import { Stop } from './output.mjs';
import { httpProbe, tcpProbe } from './probes.mjs';
import { findProgram, PINNED_NODE, ROOT, withPinnedNode } from './run.mjs';
import { readSecret, writeSecret } from './secrets.mjs';

/**
 * @typedef {import('./start-config.mjs').StartConfig} StartConfig
 * @typedef {import('./supervisor.mjs').ProcessSpec} ProcessSpec
 * @typedef {import('./ports.mjs').PortUse} PortUse
 */

/** Address of the databases, on this machine only. */
const LOOPBACK = '127.0.0.1';
/** Added to a service's own limit, so that the service's applies first. */
const STOP_MARGIN_MS = 2000;

/** Lists every port that the stack listens on. @param {StartConfig} config @returns {PortUse[]} */
export function portsOf(config) {
  const { signaling, loader, sender } = config;
  /** @type {(variable: string, port: number, what: string, address?: string, protocol?: 'tcp' | 'udp') => PortUse} */
  const use = (variable, port, what, address = LOOPBACK, protocol = 'tcp') => ({
    variable,
    port,
    address,
    protocol,
    what,
  });
  return [
    use('SIGNALING_PORT', signaling.port, 'signaling', signaling.bindAddress),
    use('LOADER_PORT', loader.port, 'segment-loader', loader.bindAddress),
    use('SIGNALING_METRICS_PORT', signaling.metricsPort, 'metrics of signaling', signaling.metricsAddress),
    use('LOADER_METRICS_PORT', loader.metricsPort, 'metrics of segment-loader', loader.metricsAddress),
    ...senderNames(config).map((name, i) =>
      use('SENDER_METRICS_PORT', sender.metricsPort + i, `metrics of ${name}`, sender.metricsAddress),
    ),
    ...(config.demoProducer
      ? [
          use('SAY_PORT', config.sayPort, 'demo-producer'),
          use('SAY_METRICS_PORT', config.sayMetricsPort, 'metrics of demo-producer', signaling.metricsAddress),
        ]
      : []),
    ...mediaAddresses(config).flatMap((address) => [
      use('TURN_PORT', config.turnPort, 'coturn', address),
      use('TURN_PORT', config.turnPort, 'coturn', address, 'udp'),
    ]),
    use('REDIS_QUEUE_PORT', config.redisQueuePort, 'redis-queue'),
    use('REDIS_MEDIA_PORT', config.redisMediaPort, 'redis-media'),
  ];
}

/** Specifies the databases and the relay, which everything else needs. @param {StartConfig} config @param {string} turnSecretFile @returns {ProcessSpec[]} */
export function foundationSpecs(config, turnSecretFile) {
  const { stateDir, redisQueuePort, redisMediaPort, redisMediaMaxmemory } = config;
  return [
    redisSpec('queue', redisQueuePort, stateDir, []),
    redisSpec('media', redisMediaPort, stateDir, ['--maxmemory', redisMediaMaxmemory]),
    coturnSpec(config, turnSecretFile),
  ];
}

/** @param {string} name @param {number} port @param {string} stateDir @param {readonly string[]} args @returns {ProcessSpec} */
function redisSpec(name, port, stateDir, args) {
  const dir = folder(stateDir, `redis-${name}`);
  return {
    name: `redis-${name}`,
    command: program('redis-server'),
    args: [join(ROOT, `infra/redis/${name}.conf`), '--port', String(port), '--bind', LOOPBACK, '--dir', dir, ...args],
    stopTimeoutMs: 10_000,
    probe: tcpProbe(LOOPBACK, port, { ask: 'PING\r\n', expect: '+PONG' }),
  };
}

/** @param {StartConfig} config @param {string} turnSecretFile @returns {ProcessSpec} */
function coturnSpec(config, turnSecretFile) {
  const { turnPort, mediaAddress, stateDir, env } = config;
  const dir = folder(stateDir, 'coturn');
  const file = join(dir, 'turnserver.conf');
  const ours = [
    ...mediaAddresses(config).map((address) => `listening-ip=${address}`),
    `listening-port=${turnPort}`,
    `relay-ip=${mediaAddress}`,
    'no-tls',
    ...(isLoopback(mediaAddress) ? ['allow-loopback-peers'] : []),
    // The relay reaches only the media-senders' address, and nothing else of this machine or its network.
    `allowed-peer-ip=${mediaAddress}`,
    `pidfile=${join(dir, 'turnserver.pid')}`,
    `userdb=${join(dir, 'turndb')}`,
    // In a file, because command lines are visible to all users.
    `static-auth-secret=${env['TURN_SECRET'] ?? readSecret(turnSecretFile)}`,
  ];
  writeSecret(file, `${readFileSync(join(ROOT, 'infra/turn/turnserver.conf'), 'utf8')}\n${ours.join('\n')}\n`);
  return {
    name: 'coturn',
    command: program('turnserver'),
    args: ['-c', file],
    stopTimeoutMs: 5000,
    probe: tcpProbe(mediaAddress, turnPort),
  };
}

/**
 * Specifies signaling, segment-loader, the media-senders, and the demo producer unless disabled.
 * @param {StartConfig} config
 * @param {ReturnType<typeof import('./secrets.mjs').ensureSecrets>['files']} secrets
 * @returns {ProcessSpec[]}
 */
export function serviceSpecs(config, secrets) {
  const { signaling, loader, sender, turnPort, mediaAddress, redisQueuePort, redisMediaPort } = config;
  const turn = `turn:${uriHost(mediaAddress)}:${turnPort}`;
  const env = {
    ...withPinnedNode(config.env),
    NODE_ENV: 'production',
    REDIS_QUEUE_URL: `redis://${LOOPBACK}:${redisQueuePort}`,
    REDIS_MEDIA_URL: `redis://${LOOPBACK}:${redisMediaPort}`,
    HUMANCAST_API_KEY_FILE: secrets['api-keys'],
    SAY_KEY_FILE: secrets['say-key'],
    TOKEN_SECRET_FILE: secrets['token-secret'],
    TURN_SECRET_FILE: secrets['turn-secret'],
    TURN_URLS: `${turn}?transport=udp,${turn}?transport=tcp`,
    HOST_ADDRESSES: mediaAddresses(config).join(','),
    ...(config.demoProducer && { SAY_URL: `http://${LOOPBACK}:${config.sayPort}` }),
  };
  return [
    serviceSpec('signaling', 'services/signaling', env, signaling),
    serviceSpec('segment-loader', 'services/segment-loader', { ...env, BIND_ADDRESS: loader.bindAddress }, loader),
    ...senderNames(config).map((name, i) => {
      const metricsPort = sender.metricsPort + i;
      return serviceSpec(
        name,
        'services/media-sender',
        { ...env, SENDER_METRICS_PORT: String(metricsPort) },
        { ...sender, metricsPort },
      );
    }),
    ...(config.demoProducer ? [demoProducerSpec(config, env, secrets['say-key'])] : []),
  ];
}

/** @param {StartConfig} config @param {NodeJS.ProcessEnv} env @param {string} keyFile @returns {ProcessSpec} */
function demoProducerSpec({ signaling, loader, sayPort, sayMetricsPort }, env, keyFile) {
  const own = {
    // The demo producer's own key, which it sends to the services and expects from signaling.
    HUMANCAST_API_KEY: '',
    HUMANCAST_API_KEY_FILE: keyFile,
    BIND_ADDRESS: LOOPBACK,
    SAY_PORT: String(sayPort),
    SAY_METRICS_PORT: String(sayMetricsPort),
    SIGNALING_URL: `http://${reachable(signaling.bindAddress)}:${signaling.port}`,
    LOADER_URL: `http://${reachable(loader.bindAddress)}:${loader.port}`,
  };
  const settings = { ...signaling, metricsPort: sayMetricsPort };
  return serviceSpec('demo-producer', 'examples/demo-producer', { ...env, ...own }, settings);
}

/**
 * @param {string} name
 * @param {string} folder of the package
 * @param {NodeJS.ProcessEnv} env
 * @param {{ metricsAddress: string, metricsPort: number, shutdownTimeoutMs: number }} settings
 * @returns {ProcessSpec}
 */
function serviceSpec(name, folder, env, { metricsAddress, metricsPort, shutdownTimeoutMs }) {
  return {
    name,
    command: PINNED_NODE,
    args: [join(ROOT, folder, 'dist/main.js')],
    env,
    cwd: ROOT,
    stopTimeoutMs: shutdownTimeoutMs + STOP_MARGIN_MS,
    probe: httpProbe(`http://${reachable(metricsAddress)}:${metricsPort}/readyz`),
  };
}

/**
 * Addresses that serve media: the machine's own for browsers, and loopback for programs on this machine.
 * @param {StartConfig} config
 */
const mediaAddresses = ({ mediaAddress }) => [...new Set([mediaAddress, LOOPBACK])];

/** Finds an address to reach a listener at; loopback if it listens on all interfaces. @param {string} bindAddress */
export const reachable = (bindAddress) => (['0.0.0.0', '::'].includes(bindAddress) ? LOOPBACK : bindAddress);

/** @param {StartConfig} config */
function senderNames({ senders }) {
  return Array.from({ length: senders }, (_, i) => (senders === 1 ? 'media-sender' : `media-sender-${i + 1}`));
}

/** @param {string} parent @param {string} name */
function folder(parent, name) {
  const path = join(parent, name);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  return path;
}

/** @param {string} name */
function program(name) {
  const path = findProgram(name);
  if (!path) throw new Stop(`${name} cannot be found`);
  return path;
}
