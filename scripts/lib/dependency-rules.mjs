/**
 * Rules for dependencies that need only package-lock.json.
 *
 * @typedef {{
 *   name?: string, version?: string, license?: string, integrity?: string, resolved?: string, link?: boolean,
 *   deprecated?: string, hasInstallScript?: boolean, dev?: boolean, devOptional?: boolean }} LockEntry
 * @typedef {{ packages: Record<string, LockEntry> }} Lock
 * @typedef {{ id: string, package: string, affected: string[], title: string }} Advisory
 * @typedef {{ path: string, name: string, version: string, entry: LockEntry }} Package
 */

/** Licenses that allow use, change and distribution with notices at most; MPL-2.0 covers only changed files. */
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

/** Licenses of packages with an old license field in package.json, from their LICENSE files. */
const LICENSES_BY_FILE = { busboy: 'MIT', streamsearch: 'MIT' };

/** Packages that must have one version only: they hold state, or are patched or pinned. */
const SINGLE = ['werift', 'ioredis', 'bullmq', 'zod', '@nestjs/common', '@nestjs/core', 'prom-client', 'jose'];

/**
 * @param {Lock} lock
 * @returns {Package[]} packages from a registry, without this repository's workspaces.
 */
export function packagesOf({ packages }) {
  return Object.entries(packages)
    .filter(([path, { link }]) => path.includes('node_modules/') && !link)
    .map(([path, entry]) => ({
      path,
      entry,
      version: entry.version ?? '',
      // An alias is installed under another name.
      name: entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
    }));
}

/**
 * @param {Lock} lock
 * @param {{ allowScripts?: Record<string, boolean> }} manifest the root package.json
 * @returns {string[]} the violations
 */
export function brokenRules(lock, { allowScripts = {} }) {
  const packages = packagesOf(lock);
  return [
    ...packages.flatMap((found) => brokenBy(found, allowScripts)),
    ...SINGLE.flatMap((name) => {
      const versions = new Set(packages.filter((found) => found.name === name).map(({ version }) => version));
      return versions.size > 1 ? [`${name} has the versions ${[...versions].join(' and ')}; only one is allowed`] : [];
    }),
  ];
}

/** @param {Package} found @param {Record<string, boolean>} allowScripts */
function brokenBy({ name, version, entry }, allowScripts) {
  const what = `${name}@${version}`;
  const { license, integrity, resolved, deprecated, hasInstallScript } = entry;
  const known = license ?? LICENSES_BY_FILE[/** @type {keyof typeof LICENSES_BY_FILE} */ (name)];
  const broken = [];
  if (known === undefined) broken.push(`${what} has no license`);
  else if (!isAllowed(known)) broken.push(`${what} has the license ${known}, which is not allowed`);
  if (!integrity) broken.push(`${what} has no integrity in the lock file`);
  if (resolved !== undefined) broken.push(`${what} has a download address: ${resolved}`);
  if (deprecated) broken.push(`${what} is deprecated: ${deprecated}`);
  if (hasInstallScript && !(name in allowScripts))
    broken.push(`${what} has an install script that allowScripts in package.json neither allows nor rejects`);
  return broken;
}

/**
 * Whether an SPDX expression is allowed: one side of OR, both sides of AND.
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
 * @returns {string[]} packages affected by an advisory
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
 * @param {string} range comparators that must all match, such as `>=7.0.0 <8.0.0`
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
 * Compares two versions (Semantic Versioning 2.0.0 §11); a pre-release precedes its release, and pre-releases are compared as text.
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
