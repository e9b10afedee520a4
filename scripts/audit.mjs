// Audits the dependencies. The last line says against what: npm's advisory service where it answers, otherwise rules and a dated list
// that need no network. Ends with 1 when something was found.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { affectedBy, brokenRules, packagesOf } from './lib/dependency-rules.mjs';
import { runMain, say } from './lib/output.mjs';
import { ROOT, run } from './lib/run.mjs';

/** Also from `low` on: what is accepted has to be said, below. */
const AUDIT = ['audit', '--audit', '--json', '--audit-level=low', '--fetch-retries=0', '--fetch-timeout=5000'];

/**
 * Advisories that do not concern how the package is used here, with the reason. The service's own are named by their GHSA id.
 * @type {Readonly<Record<string, string>>}
 */
const ACCEPTED = {};

runMain(async () => {
  const lock = readJson('package-lock.json');
  const { dated, advisories } = readJson('scripts/audit/advisories.json');
  const service = await askService();
  const findings = [
    ...brokenRules(lock, readJson('package.json')),
    ...affectedBy(lock, advisories.filter(isOpen)),
    ...(service.findings ?? []),
  ];
  for (const finding of findings) say(finding);
  const count = `${packagesOf(lock).length} packages against the offline rules and ${advisories.length} advisories of ${dated}`;
  const online = service.findings
    ? "and npm's advisory service"
    : `NOT against npm's advisory service (${service.reason})`;
  say(`checked ${count}, ${online}: ${findings.length === 0 ? 'nothing found' : `${findings.length} found`}`);
  process.exitCode = findings.length === 0 ? 0 : 1;
});

/** @returns {Promise<{ findings?: string[], reason?: string }>} no findings when the service can't be asked */
async function askService() {
  const { output } = await run('npm', AUDIT, { quiet: true });
  try {
    const report = JSON.parse(output.slice(output.indexOf('{'), output.lastIndexOf('}') + 1));
    if (!report.vulnerabilities)
      return { reason: withoutAddresses(report.error?.summary || report.message || 'it gave no report') };
    return { findings: Object.values(report.vulnerabilities).flatMap(findingsOf) };
  } catch {
    return { reason: 'it gave no report' };
  }
}

/** Which registry this machine uses is nobody's business. @param {string} text */
function withoutAddresses(text) {
  return text.replaceAll(/ ?-? ?(?:[A-Z]+ )?\w+:\/\/\S+/g, '').trim();
}

/** @param {{ name: string, via: (string | { url: string, title: string, range: string })[] }} vulnerability */
function findingsOf({ name, via }) {
  return via
    .filter((cause) => typeof cause !== 'string')
    .map(({ url, title, range }) => ({ id: url.split('/').at(-1) ?? url, line: `${name} ${range}: ${url}, ${title}` }))
    .filter(isOpen)
    .map(({ line }) => line);
}

/** @param {{ id: string }} advisory */
function isOpen({ id }) {
  return !(id in ACCEPTED);
}

/** @param {string} path */
function readJson(path) {
  return JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
}
