import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ApiKeys, SCOPES } from '@humancast/shared';
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
  const find = (key: string) => new ApiKeys([], file).find(key);
  const admits = (key: string) => find(key) !== undefined;

  it('new creates keys that services accept, and stores only their hashes', () => {
    const key = run('new', 'backend');
    expect(key).toMatch(/^[\w-]{32}$/);
    expect(admits(key)).toBe(true);
    expect(readFileSync(file, 'utf8')).not.toContain(key);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it("list and revoke work by name, and leave other keys and the file's permissions unchanged", () => {
    const [first, second] = [run('new', 'first'), run('new', 'second')];
    chmodSync(file, 0o640);
    expect(run('list').split('\n')).toEqual([
      expect.stringMatching(/^first\t\d{4}-\d\d-\d\d\tsessions,media\t\*$/),
      expect.stringMatching(/^second\t/),
    ]);
    run('revoke', 'first');
    expect([admits(first), admits(second)]).toEqual([false, true]);
    expect(statSync(file).mode & 0o777).toBe(0o640);
  });

  it('new creates keys with the requested scopes only', () => {
    const backend = find(run('new', 'backend'));
    expect([backend?.name, ...SCOPES.filter((scope) => backend?.has(scope))]).toEqual(['backend', 'sessions', 'media']);
    const speaker = find(run('new', 'tts', '--scopes', 'speak', '--avatars', 'anna,ben'));
    expect(SCOPES.filter((scope) => speaker?.has(scope))).toEqual(['speak']);
    expect(['anna', 'ben', 'demo'].map((avatar) => speaker?.allowsAvatar(avatar))).toEqual([true, true, false]);
  });

  it('rotate keeps the previous key valid until it is revoked with --old', () => {
    const [first, other] = [run('new', 'tts', '--scopes', 'speak', '--avatars', 'anna'), run('new', 'other')];
    const second = run('rotate', 'tts');
    expect([first, second].map((key) => find(key)?.name)).toEqual(['tts', 'tts']);
    expect([find(second)?.has('speak'), find(second)?.has('media'), find(second)?.allowsAvatar('ben')]).toEqual([
      true,
      false,
      false,
    ]);
    const third = run('rotate', 'tts');
    expect([first, second, third].map(admits)).toEqual([false, true, true]);
    run('revoke', 'tts', '--old');
    expect([second, third, other].map(admits)).toEqual([false, true, true]);
    run('revoke', 'tts');
    expect([third, other].map(admits)).toEqual([false, true]);
  });

  it('lines without scopes have all scopes', () => {
    const hash = createHash('sha256').update('old key').digest('hex');
    writeFileSync(file, `sha256:${hash} # backend 2026-01-01\n`);
    expect(run('list')).toBe('backend\t2026-01-01\t*\t*');
    expect(SCOPES.every((scope) => find('old key')?.has(scope))).toBe(true);
    run('revoke', 'backend');
    expect(admits('old key')).toBe(false);
  });

  it.each([
    ['new'],
    ['new', 'a b'],
    ['new', '../x'],
    ['revoke', 'nobody'],
    ['rotate', 'nobody'],
    ['new', 'x', '--scopes', 'admin'],
    ['new', 'x', '--scopes', 'sessions,'],
    ['new', 'x', '--avatars', 'No Such'],
    ['new', 'sha256'],
    ['toString', 'x'],
    ['what', 'ever'],
    [],
  ])('rejects %j %j', (...args) => {
    expect(() => run(...args.filter((arg) => arg !== undefined))).toThrow();
  });

  it('new rejects an existing name', () => {
    const key = run('new', 'backend');
    expect(() => run('new', 'backend')).toThrow('already');
    expect(admits(key)).toBe(true);
  });

  it('revoke also removes the key of this machine’s owner', () => {
    const { files } = ensureSecrets(folder);
    const key = readSecret(files['api-key']);
    expect(SCOPES.every((scope) => find(key)?.has(scope))).toBe(true);
    run('revoke', 'owner');
    ensureSecrets(folder);
    expect(admits(key)).toBe(false);
  });

  it('the demo producer’s key has the scope speak only', () => {
    const { files } = ensureSecrets(folder);
    const key = find(readSecret(files['say-key']));
    expect([key?.name, ...SCOPES.filter((scope) => key?.has(scope))]).toEqual(['demo-producer', 'speak']);
    rmSync(files['say-key']);
    const renewed = ensureSecrets(folder).files['say-key'];
    expect(find(readSecret(renewed))?.name).toBe('demo-producer');
    expect(
      run('list')
        .split('\n')
        .filter((line) => line.startsWith('demo-producer')),
    ).toHaveLength(1);
  });
});
