// Audits the dependencies against npm's advisory service, or, if that does not answer, against rules and a dated list that
// need no network. The last line tells which. Exits with 1 on findings.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { affectedBy, brokenRules, packagesOf } from './lib/dependency-rules.mjs';
import { runMain, say } from './lib/output.mjs';
import { ROOT, run } from './lib/run.mjs';

/** Minimum severity; accepted advisories are listed below. */
const AUDIT = ['audit', '--audit', '--json', '--audit-level=low', '--fetch-retries=0', '--fetch-timeout=5000'];

/**
 * Advisories that do not affect this use of the package, with the reason, by GHSA id.
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

/** @returns {Promise<{ findings?: string[], reason?: string }>} no findings if the service cannot be reached */
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

/** Removes addresses, which may name a private registry. @param {string} text */
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
