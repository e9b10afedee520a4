import { describe, expect, it } from 'vitest';
import { deterministic, problemsOf } from './sbom.mjs';

const component = (name: string, version: string) => ({
  'bom-ref': `${name}@${version}`,
  name,
  version,
  purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
  hashes: [{ alg: 'SHA-512', content: 'x' }],
  externalReferences: [
    { type: 'distribution', url: 'https://a-registry/x.tgz' },
    { type: 'website', url: 'https://x' },
  ],
});
const bom = (components = [component('b', '1.0.0'), component('@s/a', '2.0.0')]) => ({
  metadata: { timestamp: 'now', component: { ...component('humancast', '0.1.0'), name: 'some-folder' } },
  components,
  dependencies: [
    { ref: 'humancast@0.1.0', dependsOn: ['b@1.0.0', '@s/a@2.0.0'] },
    { ref: '@s/a@2.0.0', dependsOn: [] },
  ],
});

describe('deterministic()', () => {
  it('returns the same document for another order, time and folder', () => {
    const other = bom(bom().components.toReversed());
    other.metadata.timestamp = 'later';
    other.metadata.component.name = 'elsewhere';
    other.dependencies.reverse();
    expect(deterministic(other, 'ab'.repeat(32))).toEqual(deterministic(bom(), 'ab'.repeat(32)));
  });

  it('names the root component after its package, and omits the registry', () => {
    const result = deterministic(bom(), 'ab'.repeat(32));
    expect(result.metadata.component.name).toBe('humancast');
    expect(result.serialNumber).toBe('urn:uuid:abababab-abab-8bab-8bab-abababababab');
    expect(JSON.stringify(result)).not.toContain('registry');
    expect(JSON.stringify(result)).not.toContain('now');
  });
});

describe('problemsOf()', () => {
  it('returns nothing if every package is present with its hash', () => {
    expect(problemsOf(bom(), [{ name: '@s/a', version: '2.0.0' }])).toEqual([]);
  });

  it('finds missing packages, missing hashes, and dependencies that are not components', () => {
    const broken = bom([{ ...component('b', '1.0.0'), hashes: [] }]);
    expect(problemsOf(broken, [{ name: '@s/a', version: '2.0.0' }])).toEqual([
      '@s/a@2.0.0 is missing',
      '@s/a@2.0.0 is a dependency, but not a component',
      '@s/a@2.0.0 is a dependency, but not a component',
      'pkg:npm/b@1.0.0 has no hash',
    ]);
  });
});
