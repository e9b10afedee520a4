import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { buildConsole, buildServices } from './build.mjs';
import { red, say, step } from './output.mjs';
import { PINNED_NODE, ROOT, run, runTool } from './run.mjs';

/**
 * @typedef {{ passed: number, failed: number, failures: string[] }} Counts `failures` names what failed.
 * @typedef {{ name: string, doc: string, run: () => Promise<Counts> }} Suite
 */

const MAX_REPEATED_FILES = 4;

/** @type {readonly Suite[]} */
export const SUITES = [
  {
    name: 'lint',
    doc: 'formatting, lint, import direction and cycles (Biome); unused code and dependencies (knip)',
    run: lint,
  },
  { name: 'types', doc: 'the build, and a strict type check of tests, scripts and benchmarks', run: types },
  { name: 'unit', doc: 'logic only; starts no programs', run: () => vitest('unit') },
  { name: 'integration', doc: 'with real servers and codecs, beside the code', run: () => vitestTwice('integration') },
  { name: 'browser', doc: 'in a real browser, beside the code', run: () => vitestTwice('browser') },
  { name: 'e2e', doc: 'the whole stack, with real browsers (tests/)', run: () => vitestTwice('e2e') },
  {
    name: 'containers',
    doc: 'docker compose in real containers; needs root or a Docker engine',
    run: () => vitestTwice('containers'),
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
  /** @type {Counts} */
  const counts = { passed: 0, failed: 0, failures: [] };
  for (const [name, check] of Object.entries(list)) {
    const { code, output } = await check();
    if (code === 0) {
      counts.passed++;
      step(name, detailed ? output.trim().split('\n').at(-1) : '');
    } else {
      counts.failed++;
      counts.failures.push(name);
      say(`${red('✗')} ${name}\n${output.trim()}`);
    }
  }
  return counts;
}

/** Runs one of the projects of vitest.config.ts. @param {string} project @returns {Promise<Counts>} */
async function vitest(project) {
  const { report, code } = await runVitest(project);
  return countTests(report, code);
}

/**
 * Like {@link vitest}, but runs files that failed once more: real browsers, codecs and networks also depend on what
 * else the machine does. Names what passes only then. More than a few failed files are not the machine's doing.
 * @param {string} project @returns {Promise<Counts>}
 */
async function vitestTwice(project) {
  const first = await runVitest(project);
  const names = failedFiles(first.report);
  if (names.length === 0 || names.length > MAX_REPEATED_FILES) return countTests(first.report, first.code);
  say(`\n── ${project}, once more: ${names.map((name) => relative(ROOT, name)).join(', ')}`);
  const second = await runVitest(project, names);
  const report = {
    testResults: [
      ...first.report.testResults.filter(({ name }) => !names.includes(name)),
      ...second.report.testResults,
    ],
  };
  for (const line of unstable(first.report, second.report)) say(`${red('!')} passed only when run again: ${line}`);
  return countTests(report, second.code);
}

/** @param {string} project @param {readonly string[]} [files] default: all of the project */
async function runVitest(project, files = []) {
  const folder = mkdtempSync(join(tmpdir(), 'humancast-test-'));
  const path = join(folder, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${path}`];
    const { code } = await runTool('vitest/vitest.mjs', ['run', '--project', project, ...reporters, ...files]);
    return { report: readReport(path), code };
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
  /** @type {Counts} */
  const counts = { passed: 0, failed: 0, failures: [] };
  const fail = (/** @type {string} */ what) => {
    counts.failed++;
    counts.failures.push(what);
  };
  for (const file of testResults) {
    for (const { status, fullName } of file.assertionResults) {
      if (status === 'passed') counts.passed++;
      else fail(`${status}: ${fullName}`);
    }
    if (file.status !== 'passed' && !file.assertionResults.some(({ status }) => status === 'failed')) {
      fail(`failed as a whole: ${relative(ROOT, file.name)}`);
    }
  }
  if (exitCode !== 0 && counts.failed === 0) fail('an error outside of any test');
  return counts;
}

/** @returns the paths of the files that did not pass. @param {VitestReport} report */
export function failedFiles({ testResults }) {
  return testResults.filter(({ status }) => status !== 'passed').map(({ name }) => name);
}

/**
 * @returns the names of the tests that failed in the first run and passed in the second.
 * @param {VitestReport} first @param {VitestReport} second
 */
export function unstable(first, second) {
  const named = (/** @type {VitestReport} */ { testResults }, /** @type {string} */ status) =>
    testResults
      .flatMap((file) => file.assertionResults.filter((test) => test.status === status))
      .map((t) => t.fullName);
  const passed = new Set(named(second, 'passed'));
  return named(first, 'failed').filter((name) => passed.has(name));
}
