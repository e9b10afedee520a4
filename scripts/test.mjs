// Runs every check of the project. Plain JavaScript for Node.js 20 without packages, because nothing may be installed yet.
// The last line is always `N passed, N failed`; the exit code is 0 only if nothing failed and no suite was empty.
import { parseArgs } from 'node:util';
import { ensurePrograms } from './lib/debian-packages.mjs';
import { ensureNpmPackages } from './lib/npm-packages.mjs';
import { dim, green, red, runMain, Stop, say, seconds } from './lib/output.mjs';
import { SUITES } from './lib/suites.mjs';

const PROGRAMS = /** @type {const} */ ([
  'ffmpeg',
  'ffprobe',
  'redis-server',
  'turnserver',
  'espeak-ng',
  'chromium',
  'firefox-esr',
  'openssl',
  'prometheus',
  'promtool',
  // Steps the clocks of processes in the fault tool.
  'faketime',
  // The Python client needs the first two; the others build its package.
  '/usr/lib/python3/dist-packages/numpy',
  '/usr/lib/python3/dist-packages/websockets',
  '/usr/lib/python3/dist-packages/pip',
  '/usr/lib/python3/dist-packages/setuptools',
  '/usr/lib/python3/dist-packages/wheel',
  // WHEP players
  '/usr/lib/python3/dist-packages/aiortc',
  '/usr/lib/python3/dist-packages/gi/overrides/Gst.py',
  '/usr/lib/*/girepository-1.0/GstWebRTC-1.0.typelib',
  '/usr/lib/*/gstreamer-1.0/libgstnice.so',
  '/usr/lib/*/gstreamer-1.0/libgstwebrtc.so',
  '/usr/lib/*/gstreamer-1.0/libgstvpx.so',
]);

const HELP = `Usage: npm test [-- --only SUITE[,SUITE…]]

Installs what is missing (npm packages; as root on Debian also ffmpeg, Redis, coturn, Chromium, Firefox, Prometheus, GStreamer, Python's numpy and aiortc), builds, and runs:

${SUITES.map(({ name, doc }) => `  ${name.padEnd(12)}${doc}`).join('\n')}
`;

runMain(async () => {
  const { values } = parseArgs({ options: { only: { type: 'string' }, help: { type: 'boolean' } } });
  if (values.help) return say(HELP);
  const suites = selectSuites(values.only);
  await ensureNpmPackages();
  await ensurePrograms(PROGRAMS);
  const total = { passed: 0, failed: 0 };
  const failures = [];
  for (const suite of suites) {
    const counts = await runSuite(suite);
    total.passed += counts.passed;
    total.failed += counts.failed;
    failures.push(...counts.failures.map((failure) => `${suite.name}: ${failure}`));
  }
  process.exitCode = total.failed > 0 ? 1 : 0;
  // Once more at the end, which is what is left of a log that was cut.
  for (const failure of failures) say(`${red('✗')} ${failure}`);
  say(`${total.passed} passed, ${total.failed} failed`);
});

/** @param {string | undefined} only */
function selectSuites(only) {
  const names = only?.split(',');
  const unknown = names?.find((name) => !SUITES.some((suite) => suite.name === name));
  if (unknown !== undefined) {
    throw new Stop(`unknown suite "${unknown}"; use ${SUITES.map(({ name }) => name).join(', ')}`);
  }
  return SUITES.filter(({ name }) => names?.includes(name) ?? true);
}

/** @param {import('./lib/suites.mjs').Suite} suite */
async function runSuite({ name, run }) {
  const since = performance.now();
  say(`── ${name}`);
  const counts = await run();
  // A suite without tests must not count as success.
  if (counts.passed + counts.failed === 0) {
    say(`${name}: nothing ran`);
    counts.failed = 1;
    counts.failures = ['nothing ran'];
  }
  const result = `${name}: ${counts.passed} passed, ${counts.failed} failed`;
  say(`${counts.failed > 0 ? red(`✗ ${result}`) : green(`✓ ${result}`)} ${dim(seconds(since))}\n`);
  return counts;
}
