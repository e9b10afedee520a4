import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildConsole, buildServices } from './build.mjs';
import { red, say, step } from './output.mjs';
import { PINNED_NODE, ROOT, run, runTool } from './run.mjs';

/**
 * @typedef {{ passed: number, failed: number }} Counts
 * @typedef {{ name: string, doc: string, run: () => Promise<Counts> }} Suite
 */

/** @type {readonly Suite[]} */
export const SUITES = [
  {
    name: 'lint',
    doc: 'formatting, lint, import direction and cycles (Biome); unused code and dependencies (knip)',
    run: lint,
  },
  { name: 'types', doc: 'the build, and a strict type check of tests, scripts and benchmarks', run: types },
  { name: 'unit', doc: 'logic only; starts no programs', run: () => vitest('unit') },
  { name: 'integration', doc: 'with real servers and codecs, beside the code', run: () => vitest('integration') },
  { name: 'browser', doc: 'in a real browser, beside the code', run: () => vitest('browser') },
  { name: 'e2e', doc: 'the whole stack, with real browsers (tests/)', run: () => vitest('e2e') },
  {
    name: 'containers',
    doc: 'docker compose in real containers; needs root or a Docker engine',
    run: () => vitest('containers'),
  },
  {
    name: 'deps',
    doc: 'audit of the dependencies (offline if necessary), bill of materials',
    run: dependencies,
  },
  { name: 'docs', doc: 'generated pages are up to date, links have targets', run: docs },
];

function lint() {
  return checks({
    biome: () => runTool('@biomejs/biome/bin/biome', ['check', '--error-on-warnings', '.'], { quiet: true }),
    knip: () => runTool('knip/bin/knip.js', ['--no-progress'], { quiet: true }),
  });
}

function types() {
  const tsc = (/** @type {string} */ project) => runTool('typescript/bin/tsc', ['-p', project], { quiet: true });
  return checks({
    'build of the services': buildServices,
    'build of the console': buildConsole,
    'types of tests and scripts': () => tsc('tsconfig.test.json'),
    'types of the browser side': () => tsc('tsconfig.web-test.json'),
  });
}

/** Runs every script in scripts/docs with `--check`, which fails if its page is out of date. */
async function docs() {
  const built = await buildServices();
  const scripts = readdirSync(join(ROOT, 'scripts/docs')).filter((name) => name.endsWith('.mjs'));
  const check = (/** @type {string} */ name) => () =>
    run(PINNED_NODE, [join('scripts/docs', name), '--check'], { quiet: true });
  return checks({ build: async () => built, ...Object.fromEntries(scripts.map((name) => [name, check(name)])) });
}

function dependencies() {
  const script = (/** @type {string[]} */ ...args) => run(PINNED_NODE, args, { quiet: true });
  return checks(
    { audit: () => script('scripts/audit.mjs'), 'bill of materials': () => script('scripts/sbom.mjs', '--check') },
    { detailed: true },
  );
}

/**
 * Counts each check as one test, and prints the output of failed ones.
 * @param {Record<string, () => Promise<{ code: number, output: string }>>} list
 * @param {{ detailed?: boolean }} [options] whether to print the last line of passed ones
 * @returns {Promise<Counts>}
 */
async function checks(list, { detailed = false } = {}) {
  const counts = { passed: 0, failed: 0 };
  for (const [name, check] of Object.entries(list)) {
    const { code, output } = await check();
    counts[code === 0 ? 'passed' : 'failed']++;
    if (code === 0) step(name, detailed ? output.trim().split('\n').at(-1) : '');
    else say(`${red('✗')} ${name}\n${output.trim()}`);
  }
  return counts;
}

/** Runs one of the projects of vitest.config.ts. @param {string} project @returns {Promise<Counts>} */
async function vitest(project) {
  const folder = mkdtempSync(join(tmpdir(), 'humancast-test-'));
  const report = join(folder, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const { code } = await runTool('vitest/vitest.mjs', ['run', '--project', project, ...reporters]);
    const result = readReport(report);
    for (const line of unfinished(result)) say(`${red('✗')} ${line}`);
    return countTests(result, code);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {string} path @returns {VitestReport} */
function readReport(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return { testResults: [] };
  }
}

/**
 * @typedef {{ status: string, assertionResults: { status: string, fullName: string }[], name: string }} VitestFile
 * @typedef {{ testResults: VitestFile[] }} VitestReport
 */

/**
 * Counts everything that did not pass as failed: skipped tests, files that could not be loaded, and errors outside of
 * any test, which only the exit code shows.
 * @param {VitestReport} report
 * @param {number} exitCode
 * @returns {Counts}
 */
export function countTests({ testResults }, exitCode) {
  const counts = { passed: 0, failed: 0 };
  for (const file of testResults) {
    for (const { status } of file.assertionResults) counts[status === 'passed' ? 'passed' : 'failed']++;
    if (file.status !== 'passed' && !file.assertionResults.some(({ status }) => status === 'failed')) counts.failed++;
  }
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

/** @returns skipped tests, which vitest does not report as failures. @param {VitestReport} report */
function unfinished({ testResults }) {
  return testResults
    .flatMap((file) => file.assertionResults)
    .filter(({ status }) => status !== 'passed' && status !== 'failed')
    .map(({ status, fullName }) => `${status}: ${fullName}`);
}
