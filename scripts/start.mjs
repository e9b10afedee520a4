// Runs the whole stack on this machine without Docker: installs what is missing, builds, starts, and stops everything on
// Ctrl-C. Plain JavaScript for Node.js 20 without packages, because it runs before anything is installed.
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './lib/build.mjs';
import { ensurePrograms } from './lib/debian-packages.mjs';
import { firstAvatar, waitForIdle } from './lib/first-avatar.mjs';
import { claimFolder } from './lib/lock.mjs';
import { ensureNpmPackages } from './lib/npm-packages.mjs';
import { bold, dim, runMain, Stop, say, seconds, step, yellow } from './lib/output.mjs';
import { portProblems } from './lib/ports.mjs';
import { ROOT } from './lib/run.mjs';
import { Runner } from './lib/runner.mjs';
import { ensureSecrets, readSecret } from './lib/secrets.mjs';
import { foundationSpecs, portsOf, reachable, serviceSpecs } from './lib/stack.mjs';
import { readStartConfig } from './lib/start-config.mjs';

/** The first clip takes a second or two to load; until then the page shows that it is getting ready. */
const FIRST_AVATAR_TIMEOUT_MS = 20_000;

const HELP = `Usage: npm start [-- --senders N] [--no-demo-producer] [--verbose]

Runs humancast on this machine: two Redis, coturn, signaling, segment-loader, N media-senders (default 1), and a demo
producer, which speaks typed text. Installs what is missing: npm packages; as root on Debian also ffmpeg, Redis, coturn
and espeak-ng.

  --senders N          number of media-senders, 1 to 16
  --no-demo-producer   without the demo producer, and without espeak-ng
  --verbose            show every log line, not just warnings and errors

All other settings are environment variables, see docs/configuration.md. The most common:

  BIND_ADDRESS=127.0.0.1  LOADER_BIND_ADDRESS=127.0.0.1
                       addresses of the page and REST, and of the producers' API. If the page is open to other machines,
                       sessions need the API key, unless PUBLIC_DEMO_PUBLISHED=true
  SIGNALING_PORT=8080          LOADER_PORT=8081          TURN_PORT=3478
  REDIS_QUEUE_PORT=6390        REDIS_MEDIA_PORT=6391     SAY_PORT=8082 (demo producer)
  SIGNALING_METRICS_PORT=9101  LOADER_METRICS_PORT=9102  SENDER_METRICS_PORT=9103 (and the next ones, one a media-sender)
  SAY_METRICS_PORT=9104        a second stack on this machine needs other values of all of these, and of HUMANCAST_DIR
  MEDIA_ADDRESS        this machine's address for coturn and media; default: its first one (Firefox rejects 127.0.0.1)
  HUMANCAST_API_KEY    API key; by default one is created in .humancast/api-key
  HUMANCAST_DIR        folder of secrets, logs and the job database (.humancast)
  MEDIA_DIR            watched folder (media)
`;

runMain(async () => {
  const options = readOptions();
  if (!options) return say(HELP);
  await ensureNpmPackages();
  const voice = options.demoProducer ? /** @type {const} */ (['espeak-ng']) : [];
  await ensurePrograms(['ffmpeg', 'ffprobe', 'redis-server', 'turnserver', ...voice]);
  await build();
  const config = await readStartConfig(process.env, options);
  const secrets = ensureSecrets(config.stateDir);
  const other = claimFolder(config.stateDir);
  if (other !== undefined) {
    throw new Stop(
      `process ${other} already uses ${show(config.stateDir)}: stop it, or choose another folder with HUMANCAST_DIR=…`,
    );
  }
  if (secrets.made) step('created secrets', show(config.stateDir));
  const problems = await portProblems(portsOf(config));
  if (problems.length > 0) throw new Stop(problems.join('\n  '));

  const runner = new Runner({ logFolder: join(config.stateDir, 'logs'), verbose: options.verbose });
  await runner.start(
    'databases and relay',
    foundationSpecs(config, secrets.files['turn-secret']),
    config.startTimeoutMs,
  );
  await runner.start('services', serviceSpecs(config, secrets.files), config.startTimeoutMs);
  step('packet path', await packetPath(config));
  const avatar = firstAvatar(resolve(ROOT, config.loader.mediaDir));
  if (avatar) await loadFirst(avatar, config, secrets.files['api-key'], () => runner.stopping);
  if (!runner.stopping) greet(avatar ?? 'demo', config, secrets.files['api-key']);
});

/**
 * @param {string} avatar
 * @param {import('./lib/start-config.mjs').StartConfig} config
 * @param {string} apiKeyFile
 * @param {() => boolean} isOver
 */
async function loadFirst(avatar, { loader }, apiKeyFile, isOver) {
  const since = performance.now();
  const apiKey = loader.apiKeys[0] ?? readSecret(apiKeyFile);
  const options = { timeoutMs: FIRST_AVATAR_TIMEOUT_MS, isOver };
  if (await waitForIdle(`${urlOf(loader)}/v1/avatars/${avatar}`, apiKey, options)) {
    step(`avatar "${avatar}" is loaded`, seconds(since));
  } else if (!isOver()) {
    say(`  avatar "${avatar}" is still loading`);
  }
}

/**
 * @param {import('./lib/start-config.mjs').StartConfig} config
 * @returns {Promise<string>} The packet path of the first media-sender.
 */
async function packetPath({ sender: { metricsAddress, metricsPort } }) {
  try {
    const url = `http://${reachable(metricsAddress)}:${metricsPort}/metrics`;
    const metrics = await (await fetch(url, { signal: AbortSignal.timeout(5000) })).text();
    return /^humancast_sender_packet_path\{.*path="(\w+)"/m.exec(metrics)?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

/** @returns {{ senders: number, demoProducer: boolean, verbose: boolean } | undefined} `undefined` to show the help */
function readOptions() {
  const options = /** @type {const} */ ({
    senders: { type: 'string', default: '1' },
    'no-demo-producer': { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean' },
  });
  try {
    const { values } = parseArgs({ options });
    if (values.help) return undefined;
    const senders = Number(values.senders);
    if (!Number.isInteger(senders) || senders < 1 || senders > 16) throw new Error('--senders must be 1 to 16');
    return { senders, demoProducer: !values['no-demo-producer'], verbose: values.verbose };
  } catch (error) {
    throw new Stop(`${/** @type {Error} */ (error).message}; see npm start -- --help`);
  }
}

/**
 * @param {string} avatar
 * @param {import('./lib/start-config.mjs').StartConfig} config
 * @param {string} apiKeyFile
 */
function greet(avatar, { signaling, loader, stateDir, demo }, apiKeyFile) {
  const given = signaling.apiKeys.length > 0;
  const signalingUrl = urlOf(signaling);
  const loaderUrl = urlOf(loader);
  const auth = `-H "Authorization: Bearer ${given ? '$HUMANCAST_API_KEY' : `$(cat ${show(apiKeyFile)})`}"`;
  if (demo.why !== undefined) say(`\n  ${yellow(demo.why)}`);
  say(`
  Open      ${bold(demo.mode === 'off' ? signalingUrl : `${signalingUrl}/?avatar=${avatar}`)}
  API key   ${given ? 'HUMANCAST_API_KEY' : show(apiKeyFile)}
  Logs      ${show(join(stateDir, 'logs'))}

  To speak your own clip, load it, then speak it in the session whose id the page shows.

    curl ${auth} -F file=@clip.mp4 '${loaderUrl}/v1/segments?avatar=${avatar}'
    curl ${auth} --json '{"segments":["seg_…"]}' ${signalingUrl}/v1/sessions/ses_…/speak

  ${dim('Ctrl-C stops everything.')}
`);
}

/** @param {{ bindAddress: string, port: number }} listener */
const urlOf = ({ bindAddress, port }) => `http://${reachable(bindAddress)}:${port}`;

/** Shortens a path relative to the current folder. @param {string} path */
function show(path) {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
