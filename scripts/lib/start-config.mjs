import { join, resolve } from 'node:path';
import { mediaAddress } from './media-address.mjs';
import { Stop } from './output.mjs';
import { ROOT } from './run.mjs';

/** @typedef {typeof import('@humancast/shared')} Shared */

/**
 * Settings of `npm start` in addition to the services'. A function, because the builder exists only once packages/shared is
 * built.
 * @param {Shared['setting']} setting
 */
export const startSettings = (setting) => ({
  turnPort: setting.int('TURN_PORT', [1, 65_535], 3478, 'Port of coturn, UDP and TCP'),
  mediaAddress: setting.string(
    'MEDIA_ADDRESS',
    '',
    "Address of this machine that coturn and media use; empty: its first one. With 127.0.0.1 Firefox can't play",
  ),
  redisQueuePort: setting.int('REDIS_QUEUE_PORT', [1, 65_535], 6390, 'Port of redis-queue, with sessions and jobs'),
  redisMediaPort: setting.int('REDIS_MEDIA_PORT', [1, 65_535], 6391, 'Port of redis-media, with frames and PCM'),
  redisMediaMaxmemory: setting.string(
    'REDIS_MEDIA_MAXMEMORY',
    '1gb',
    'Memory limit of redis-media, as in its configuration',
  ),
  loaderBindAddress: setting.string(
    'LOADER_BIND_ADDRESS',
    '127.0.0.1',
    'BIND_ADDRESS of the segment-loader, for producers',
  ),
  sayPort: setting.int('SAY_PORT', [1, 65_535], 8082, 'Port of the demo producer, for signaling'),
  sayMetricsPort: setting.int('SAY_METRICS_PORT', [1, 65_535], 9104, "Port of the demo producer's metrics"),
  stateDir: setting.string('HUMANCAST_DIR', '.humancast', 'Folder of secrets, logs and the job database'),
  startTimeoutMs: setting.int(
    'START_TIMEOUT_MS',
    [1000, 600_000],
    60_000,
    'Milliseconds within which everything must be ready',
  ),
});

/** Services' settings with another default in `npm start`, which is for one machine and for trying out. */
export const START_DEFAULTS = { BIND_ADDRESS: '127.0.0.1', PUBLIC_DEMO: 'true', MEDIA_DIR: 'media' };

/**
 * Reads and checks all settings, including the services', so that errors appear on the terminal.
 * @param {NodeJS.ProcessEnv} given
 * @param {{ senders: number, demoProducer: boolean }} options
 * @throws Stop naming every invalid variable
 */
export async function readStartConfig(given, { senders, demoProducer }) {
  const { loadConfig, setting, ConfigError, serviceSettings, demoModeOf } = await importConfig();
  /** @type {NodeJS.ProcessEnv} */
  const env = { ...START_DEFAULTS, ...withoutEmpty(given) };
  try {
    const own = loadConfig(startSettings(setting), env);
    // Placeholders; secrets are created only after everything else was checked.
    const stateDir = resolve(ROOT, own.stateDir);
    env['ARCHIVE_DIR'] ??= join(stateDir, 'archive');
    const signaling = loadConfig(serviceSettings.signaling, { TOKEN_SECRET: 'not-made-yet-but-will-be', ...env });
    // Opening the page to other machines does not open the producers' API.
    const loader = loadConfig(serviceSettings['segment-loader'], { ...env, BIND_ADDRESS: own.loaderBindAddress });
    const sender = loadConfig(serviceSettings['media-sender'], env);
    // Another producer of typed text replaces the demo producer.
    const withDemoProducer = demoProducer && signaling.sayUrl === '';
    const demo = demoModeOf(signaling);
    const address = mediaAddress(own.mediaAddress);
    return {
      ...own,
      mediaAddress: address,
      stateDir,
      signaling,
      loader,
      sender,
      senders,
      demo,
      demoProducer: withDemoProducer,
      env,
    };
  } catch (error) {
    if (error instanceof ConfigError) throw new Stop(error.message);
    throw error;
  }
}

/** @typedef {Awaited<ReturnType<typeof readStartConfig>>} StartConfig */

/** Imports built modules that need only zod, because these scripts may run on an older Node.js than the services. */
export async function importConfig() {
  const folder = join(ROOT, 'packages/shared/dist/config');
  /** @type {Pick<Shared, 'loadConfig' | 'setting' | 'ConfigError'>} */
  const define = await import(join(folder, 'define.js'));
  /** @type {Pick<Shared, 'serviceSettings'>} */
  const settings = await import(join(folder, 'settings.js'));
  /** @type {Pick<Shared, 'demoModeOf'>} */
  const demo = await import(join(folder, 'demo.js'));
  return { ...define, ...settings, ...demo };
}

/** Removes empty variables, which mean the default, as in the services. @param {NodeJS.ProcessEnv} env */
function withoutEmpty(env) {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
}
