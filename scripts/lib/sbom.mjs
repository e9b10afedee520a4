/**
 * @typedef {{
 *   'bom-ref': string, name: string, version: string, purl?: string, hashes?: unknown[],
 *   externalReferences?: { type: string, url: string }[] }} Component
 * @typedef {{
 *   serialNumber?: string, metadata: { timestamp?: string, component: Component }, components: Component[],
 *   dependencies: { ref: string, dependsOn?: string[] }[] }} Bom
 */

/**
 * Makes the document reproducible: no time of day, a serial number from the lock file's digest, sorted content, and no registry
 * address.
 * @param {Bom} bom as npm writes it
 * @param {string} digest SHA-256 of the lock file, hexadecimal
 * @returns {Bom}
 */
export function deterministic(bom, digest) {
  const { timestamp: _, ...metadata } = bom.metadata;
  // npm names the root component after its folder; the reference has the package's name.
  const name = metadata.component['bom-ref'].replace(/@[^@]*$/, '');
  return {
    ...bom,
    serialNumber: `urn:uuid:${uuidOf(digest)}`,
    metadata: { ...metadata, component: withoutDownloads({ ...metadata.component, name }) },
    components: bom.components.map(withoutDownloads).sort((a, b) => compare(a['bom-ref'], b['bom-ref'])),
    dependencies: bom.dependencies
      .map(({ ref, dependsOn }) => ({ ref, ...(dependsOn && { dependsOn: dependsOn.toSorted(compare) }) }))
      .sort((a, b) => compare(a.ref, b.ref)),
  };
}

/**
 * @param {Bom} bom
 * @param {readonly { name: string, version: string }[]} wanted
 * @returns {string[]} what is missing or superfluous
 */
export function problemsOf(bom, wanted) {
  const there = new Set(bom.components.map(({ purl }) => purl));
  const missing = wanted.filter(({ name, version }) => !there.has(purlOf(name, version)));
  const known = new Set([...bom.components, bom.metadata.component].map((component) => component['bom-ref']));
  const dangling = bom.dependencies
    .flatMap(({ ref, dependsOn = [] }) => [ref, ...dependsOn])
    .filter((ref) => !known.has(ref));
  const unhashed = bom.components.filter(
    ({ purl, hashes }) => purl !== undefined && isForeign(purl) && !hashes?.length,
  );
  return [
    ...missing.map(({ name, version }) => `${name}@${version} is missing`),
    ...dangling.map((ref) => `${ref} is a dependency, but not a component`),
    ...unhashed.map(({ purl }) => `${purl} has no hash`),
  ];
}

/** @param {string} purl */
function isForeign(purl) {
  return !purl.includes('%40humancast/');
}

/** @param {string} name @param {string} version (package-url specification: npm) */
function purlOf(name, version) {
  return `pkg:npm/${name.replace('@', '%40')}@${version}`;
}

/** @param {Component} component @returns {Component} */
function withoutDownloads(component) {
  const { externalReferences = [] } = component;
  return { ...component, externalReferences: externalReferences.filter(({ type }) => type !== 'distribution') };
}

/** A version 8 UUID (RFC 9562 §5.8) of a digest. @param {string} digest */
function uuidOf(digest) {
  const hex = digest.slice(0, 32).split('');
  hex[12] = '8';
  hex[16] = '8';
  return hex.join('').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** @param {string} a @param {string} b */
function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}
