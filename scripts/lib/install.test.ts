import { describe, expect, it } from 'vitest';
import { missingAdvice } from './debian-packages.mjs';
import { isInstalled } from './npm-packages.mjs';

describe('isInstalled()', () => {
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

  it('is true without packages of other platforms', () => {
    expect(isInstalled(wanted, there)).toBe(true);
  });

  it('is false if a package is missing', () => {
    expect(isInstalled(wanted, { packages: { 'node_modules/a': { version: '1.0.0' } } })).toBe(false);
  });

  it('is false if the lock file has another version', () => {
    const other = { packages: { ...there.packages, 'node_modules/a': { version: '1.0.1' } } };
    expect(isInstalled(wanted, other)).toBe(false);
  });
});

describe('missingAdvice()', () => {
  it('returns the exact command if only root may install', () => {
    const advice = missingAdvice(['turnserver'], ['coturn'], { debian: true, root: false });
    expect(advice).toContain('sudo apt-get update && sudo apt-get install coturn');
  });

  it('names the programs on other systems than Debian', () => {
    expect(missingAdvice(['turnserver'], ['coturn'], { debian: false, root: true })).toContain('turnserver');
  });

  it('returns nothing for root on Debian, where the script installs', () => {
    expect(missingAdvice(['turnserver'], ['coturn'], { debian: true, root: true })).toBeUndefined();
  });
});
