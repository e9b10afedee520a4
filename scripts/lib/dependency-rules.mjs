/**
 * What can be said about the dependencies by reading package-lock.json, without asking anybody.
 *
 * @typedef {{
 *   name?: string, version?: string, license?: string, integrity?: string, resolved?: string, link?: boolean,
 *   deprecated?: string, hasInstallScript?: boolean, dev?: boolean, devOptional?: boolean
 * }} LockEntry
 * @typedef {{ packages: Record<string, LockEntry> }} Lock
 * @typedef {{ id: string, package: string, affected: string[], title: string }} Advisory
 * @typedef {{ path: string, name: string, version: string, entry: LockEntry }} Package
 */

/** Licenses that allow use, change and distribution, with notices at most; MPL-2.0 asks for changed files only. */
const LICENSES = new Set([
  '0BSD',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'ISC',
  'MIT',
  'MPL-2.0',
  'Python-2.0',
  'Unlicense',
  'Zlib',
]);

/** Packages whose package.json names their license in an old way, by what their LICENSE file says. */
const LICENSES_BY_FILE = { busboy: 'MIT', streamsearch: 'MIT' };

/** Packages of which two versions at once would be two of what must be one: state, and what is patched or pinned. */
const SINGLE = ['werift', 'ioredis', 'bullmq', 'zod', '@nestjs/common', '@nestjs/core', 'prom-client', 'jose'];

/**
 * @param {Lock} lock
 * @returns {Package[]} what comes from a registry; not this repository's own workspaces.
 */
export function packagesOf({ packages }) {
  return Object.entries(packages)
    .filter(([path, { link }]) => path.includes('node_modules/') && !link)
    .map(([path, entry]) => ({
      path,
      entry,
      version: entry.version ?? '',
      // An alias is installed under another name than its own.
      name: entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
    }));
}

/**
 * @param {Lock} lock
 * @param {{ allowScripts?: Record<string, boolean> }} manifest the root package.json
 * @returns {string[]} what breaks a rule
 */
export function brokenRules(lock, { allowScripts = {} }) {
  const packages = packagesOf(lock);
  return [
    ...packages.flatMap((found) => brokenBy(found, allowScripts)),
    ...SINGLE.flatMap((name) => {
      const versions = new Set(packages.filter((found) => found.name === name).map(({ version }) => version));
      return versions.size > 1
        ? [`${name} is there in the versions ${[...versions].join(' and ')}: one is allowed`]
        : [];
    }),
  ];
}

/** @param {Package} found @param {Record<string, boolean>} allowScripts */
function brokenBy({ name, version, entry }, allowScripts) {
  const what = `${name}@${version}`;
  const { license, integrity, resolved, deprecated, hasInstallScript } = entry;
  const known = license ?? LICENSES_BY_FILE[/** @type {keyof typeof LICENSES_BY_FILE} */ (name)];
  const broken = [];
  if (known === undefined) broken.push(`${what} names no license`);
  else if (!isAllowed(known)) broken.push(`${what} has the license ${known}, which is not on the list`);
  if (!integrity) broken.push(`${what} has no integrity in the lock file`);
  if (resolved !== undefined) broken.push(`${what} names where it was downloaded: ${resolved}`);
  if (deprecated) broken.push(`${what} is deprecated: ${deprecated}`);
  if (hasInstallScript && !(name in allowScripts))
    broken.push(`${what} has an install script that allowScripts in package.json neither allows nor refuses`);
  return broken;
}

/**
 * Whether an SPDX expression leaves a choice that is allowed: one side of OR, both of AND.
 * @param {string} expression
 * @returns {boolean}
 */
export function isAllowed(expression) {
  const bare = expression.trim().replace(/^\((.*)\)$/, '$1');
  if (bare.includes(' OR ')) return bare.split(' OR ').some(isAllowed);
  if (bare.includes(' AND ')) return bare.split(' AND ').every(isAllowed);
  return LICENSES.has(bare.trim());
}

/**
 * @param {Lock} lock
 * @param {readonly Advisory[]} advisories
 * @returns {string[]} packages that an advisory is about
 */
export function affectedBy(lock, advisories) {
  return packagesOf(lock).flatMap(({ name, version, path }) =>
    advisories
      .filter((advisory) => advisory.package === name && advisory.affected.some((range) => isWithin(version, range)))
      .map(({ id, title }) => `${name}@${version} (${path}): ${id}, ${title}`),
  );
}

/**
 * @param {string} version
 * @param {string} range comparators that all hold, such as `>=7.0.0 <8.0.0`
 */
export function isWithin(version, range) {
  return range.split(' ').every((comparator) => {
    const [, operator = '', limit = ''] = /^(<=|>=|<|>|)(.+)$/.exec(comparator) ?? [];
    const order = compareVersions(version, limit);
    if (operator === '<') return order < 0;
    if (operator === '<=') return order <= 0;
    if (operator === '>') return order > 0;
    if (operator === '>=') return order >= 0;
    return order === 0;
  });
}

/**
 * The order of two versions (Semantic Versioning 2.0.0 §11); a pre-release is before its release, and pre-releases are compared as text.
 * @param {string} a
 * @param {string} b
 */
function compareVersions(a, b) {
  const [aCore = '', aPre = ''] = split(a);
  const [bCore = '', bPre = ''] = split(b);
  const [aParts, bParts] = [aCore.split('.').map(Number), bCore.split('.').map(Number)];
  for (let i = 0; i < 3; i++) {
    const order = (aParts[i] ?? 0) - (bParts[i] ?? 0);
    if (order !== 0) return order;
  }
  if (aPre === bPre) return 0;
  if (aPre === '' || bPre === '') return aPre === '' ? 1 : -1;
  return aPre < bPre ? -1 : 1;
}

/** @param {string} version */
function split(version) {
  const core = version.replace(/\+.*$/, '');
  const dash = core.indexOf('-');
  return dash === -1 ? [core, ''] : [core.slice(0, dash), core.slice(dash + 1)];
}
