import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApiKeys } from '@humancast/shared';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensureSecrets, readSecret } from './lib/secrets.mjs';

const SCRIPT = fileURLToPath(new URL('api-key.mjs', import.meta.url));

describe('api-key.mjs', () => {
  let folder: string;
  let file: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-api-key-'));
    file = join(folder, 'api-keys');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const run = (...args: string[]) =>
    execFileSync(process.execPath, [SCRIPT, '--file', file, ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
  const admits = (key: string) => new ApiKeys([], file).has(key);

  it('makes keys that services admit, and keeps nothing of them but the hash', () => {
    const key = run('new', 'backend');
    expect(key).toMatch(/^[\w-]{32}$/);
    expect(admits(key)).toBe(true);
    expect(readFileSync(file, 'utf8')).not.toContain(key);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('lists and revokes them by name, and leaves the others and who may read the file alone', () => {
    const [first, second] = [run('new', 'first'), run('new', 'second')];
    chmodSync(file, 0o640);
    expect(run('list').split('\n')).toEqual([
      expect.stringMatching(/^first\t\d{4}-\d\d-\d\d$/),
      expect.stringMatching(/^second\t/),
    ]);
    run('revoke', 'first');
    expect([admits(first), admits(second)]).toEqual([false, true]);
    expect(statSync(file).mode & 0o777).toBe(0o640);
  });

  it.each([['new'], ['new', 'a b'], ['new', '../x'], ['revoke', 'nobody'], ['what', 'ever'], []])(
    'refuses %j %j',
    (...args) => {
      expect(() => run(...args.filter((arg) => arg !== undefined))).toThrow();
    },
  );

  it('refuses a name that is taken', () => {
    const key = run('new', 'backend');
    expect(() => run('new', 'backend')).toThrow('already');
    expect(admits(key)).toBe(true);
  });

  it('lets the owner of this machine’s stack be revoked for good', () => {
    const { files } = ensureSecrets(folder);
    const key = readSecret(files['api-key']);
    expect(admits(key)).toBe(true);
    run('revoke', 'owner');
    ensureSecrets(folder);
    expect(admits(key)).toBe(false);
  });
});
