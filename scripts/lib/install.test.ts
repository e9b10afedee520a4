import { describe, expect, it } from 'vitest';
import { missingAdvice } from './debian-packages.mjs';
import { isInstalled } from './npm-packages.mjs';

describe('isInstalled', () => {
  const wanted = {
    packages: {
      '': {},
      'node_modules/a': { version: '1.0.0' },
      'node_modules/a-darwin': { version: '1.0.0', optional: true },
      'node_modules/@humancast/shared': { link: true },
    },
  };
  const there = {
    packages: { 'node_modules/a': { version: '1.0.0' }, 'node_modules/@humancast/shared': { link: true } },
  };

  it('holds although packages of other platforms are not there', () => {
    expect(isInstalled(wanted, there)).toBe(true);
  });

  it('does not hold when a package is missing', () => {
    expect(isInstalled(wanted, { packages: { 'node_modules/a': { version: '1.0.0' } } })).toBe(false);
  });

  it('does not hold when the lock file asks for another version', () => {
    const other = { packages: { ...there.packages, 'node_modules/a': { version: '1.0.1' } } };
    expect(isInstalled(wanted, other)).toBe(false);
  });
});

describe('missingAdvice', () => {
  it('says exactly what to type where only root may install', () => {
    const advice = missingAdvice(['turnserver'], ['coturn'], { debian: true, root: false });
    expect(advice).toContain('sudo apt-get update && sudo apt-get install coturn');
  });

  it('names the programs on a machine that is not Debian', () => {
    expect(missingAdvice(['turnserver'], ['coturn'], { debian: false, root: true })).toContain('turnserver');
  });

  it('has nothing to say to root on Debian: we install', () => {
    expect(missingAdvice(['turnserver'], ['coturn'], { debian: true, root: true })).toBeUndefined();
  });
});
