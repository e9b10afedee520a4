import { describe, expect, it } from 'vitest';
import { affectedBy, brokenRules, isAllowed, isWithin } from './dependency-rules.mjs';

const fine = { version: '1.0.0', license: 'MIT', integrity: 'sha512-x' };
const broken = (entry: object, allowScripts = {}, path = 'node_modules/a') =>
  brokenRules(
    { packages: { '': {}, 'packages/own': { version: '0.1.0' }, [path]: { ...fine, ...entry } } },
    { allowScripts },
  );

describe('brokenRules()', () => {
  it('returns nothing for a correct package, and for workspaces', () => {
    expect(broken({})).toEqual([]);
    const link = { 'node_modules/own': { link: true, resolved: 'packages/own' } };
    expect(brokenRules({ packages: link }, {})).toEqual([]);
  });

  it.each<[string, object, string]>([
    [
      'a license that is not on the list',
      { license: 'GPL-3.0-only' },
      'a@1.0.0 has the license GPL-3.0-only, which is not allowed',
    ],
    ['no license', { license: undefined }, 'a@1.0.0 has no license'],
    ['no integrity', { integrity: undefined }, 'a@1.0.0 has no integrity in the lock file'],
    [
      'a download address',
      { resolved: 'git+ssh://git@host/a.git#1' },
      'a@1.0.0 has a download address: git+ssh://git@host/a.git#1',
    ],
    ['a deprecation', { deprecated: 'use b' }, 'a@1.0.0 is deprecated: use b'],
    [
      'an install script without a decision',
      { hasInstallScript: true },
      'a@1.0.0 has an install script that allowScripts in package.json neither allows nor rejects',
    ],
  ])('finds %s', (_, entry, message) => {
    expect(broken(entry)).toEqual([message]);
  });

  it('accepts install scripts that package.json allows or rejects', () => {
    expect(broken({ hasInstallScript: true }, { a: false })).toEqual([]);
  });

  it('reads a license in the old format', () => {
    expect(broken({ license: undefined }, {}, 'node_modules/busboy')).toEqual([]);
  });

  it('finds two versions of a single-version package, also under an alias', () => {
    const packages = {
      'node_modules/werift': { ...fine, version: '0.25.2' },
      'node_modules/x/node_modules/other': { ...fine, name: 'werift', version: '0.23.0' },
    };
    expect(brokenRules({ packages }, {})).toEqual(['werift has the versions 0.25.2 and 0.23.0; only one is allowed']);
  });
});

describe('affectedBy()', () => {
  it('finds a package by name and version at any depth', () => {
    const lock = { packages: { 'node_modules/b/node_modules/ip': { ...fine, version: '2.0.1' } } };
    const advisory = { id: 'GHSA-1', package: 'ip', affected: ['<=2.0.1'], title: 'SSRF' };
    expect(affectedBy(lock, [advisory])).toEqual(['ip@2.0.1 (node_modules/b/node_modules/ip): GHSA-1, SSRF']);
    expect(affectedBy(lock, [{ ...advisory, affected: ['<2.0.1'] }])).toEqual([]);
  });
});

describe('isAllowed()', () => {
  it('needs one side of OR, and both sides of AND', () => {
    expect(['MIT', '(MIT OR GPL-3.0-only)', 'MIT AND ISC'].map(isAllowed)).toEqual([true, true, true]);
    expect(['GPL-3.0-only', 'MIT AND GPL-3.0-only', 'SEE LICENSE IN x'].map(isAllowed)).toEqual([false, false, false]);
  });
});

describe('isWithin()', () => {
  it.each<[string, string, boolean]>([
    ['8.17.0', '>=8.0.0 <8.17.1', true],
    ['8.17.1', '>=8.0.0 <8.17.1', false],
    ['10.0.0', '>=9.0.0', true],
    ['2.0.0-rc.1', '<2.0.0', true],
    ['1.4.4-lts.1', '>=1.4.4-lts.1 <2.0.0', true],
    ['1.2.3', '1.2.3', true],
  ])('%s within %s: %s', (version, range, expected) => {
    expect(isWithin(version, range)).toBe(expected);
  });
});
