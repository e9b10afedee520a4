import { createHash } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiKey, ApiKeys, bearerOf, SCOPES } from './api-keys.js';

const hashed = (key: string) => `sha256:${createHash('sha256').update(key).digest('hex')}`;
const scopesOf = (key: ApiKey | undefined) => SCOPES.filter((scope) => key?.has(scope));

describe('ApiKeys', () => {
  const apiKeys = new ApiKeys(['first key', 'second key']);

  it('finds each of its keys, with all scopes and the name default', () => {
    for (const text of ['first key', 'second key']) {
      const key = apiKeys.find(text);
      expect(key?.name).toBe('default');
      expect(scopesOf(key)).toEqual([...SCOPES]);
      expect(key?.allowsAvatar('any')).toBe(true);
    }
  });

  it('finds no other key', () => {
    for (const key of ['', 'first', 'first key ', 'FIRST KEY']) expect(apiKeys.find(key)).toBeUndefined();
  });

  it('finds no key without any', () => {
    expect(new ApiKeys([]).find('')).toBeUndefined();
  });

  it('finds a key by its hash, and does not accept the hash as a key', () => {
    const keys = new ApiKeys([hashed('first key')]);
    expect(keys.find('first key')).toBeDefined();
    expect(keys.find(hashed('first key'))).toBeUndefined();
  });

  it('accepts a colon in a fixed key', () => {
    expect(new ApiKeys(['name:secret']).find('name:secret')?.name).toBe('default');
  });
});

describe('a file of API keys', () => {
  let folder: string;
  let file: string;
  let nowMs: number;
  let problems: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-keys-'));
    file = join(folder, 'api-keys');
    nowMs = 0;
    problems = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const write = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  const open = (fixed: string[] = []) =>
    new ApiKeys(fixed, file, { nowMs: () => nowMs, onProblem: (problem) => problems.push(problem) });

  it('contains keys and hashes, with comments', () => {
    write(`# ours\n${hashed('one')} # backend, 2026-01-01\n\n  two\nthree\r\n`);
    const keys = open(['fixed']);
    for (const key of ['one', 'two', 'three', 'fixed']) expect(keys.find(key), key).toBeDefined();
    for (const key of ['', '#', 'ours', 'backend', '2026-01-01']) expect(keys.find(key), key).toBeUndefined();
    expect(problems).toEqual([]);
  });

  it('names each key and its scopes', () => {
    write(
      [
        `backend:${hashed('one')} sessions,media avatar-1,avatar-2`,
        'tts@house:two speak',
        `${hashed('three')} operate *`,
        'four:4444',
      ].join('\n'),
    );
    const keys = open();
    const [one, two, three, four] = ['one', 'two', 'three', '4444'].map((key) => keys.find(key));
    expect([one?.name, two?.name, three?.name, four?.name]).toEqual(['backend', 'tts@house', 'default', 'four']);
    expect(scopesOf(one)).toEqual(['sessions', 'media']);
    expect(['avatar-1', 'avatar-2', 'avatar-3'].map((avatar) => one?.allowsAvatar(avatar))).toEqual([
      true,
      true,
      false,
    ]);
    expect([scopesOf(two), two?.allowsAvatar('any')]).toEqual([['speak'], true]);
    expect(scopesOf(three)).toEqual(['operate']);
    expect(scopesOf(four)).toEqual([...SCOPES]);
    expect(keys.find('four:4444')).toBeUndefined();
  });

  it('reports and ignores an invalid line, without repeating it', () => {
    write(
      [
        'good:key-1 sessions',
        'typo:key-2 session',
        'spaced:key-3 sessions, media',
        'spaced:key-7 sessions media',
        'bad name:key-4',
        'a/b:key-5',
        `sha256:${'0'.repeat(63)}`,
        `short:sha256:${'0'.repeat(63)} media`,
        'avatar:key-6 media No_Such',
      ].join('\n'),
    );
    const keys = open();
    expect(keys.find('key-1')).toBeDefined();
    for (let i = 2; i <= 7; i++) expect(keys.find(`key-${i}`)).toBeUndefined();
    expect(problems.map((problem) => problem.slice(0, 7))).toEqual([2, 3, 4, 5, 6, 7, 8, 9].map((n) => `line ${n} `));
    expect(problems.join()).not.toMatch(/key-\d|typo|short/);
  });

  it('adds and removes keys and changes scopes while the service runs', () => {
    write('one\ntwo:222 sessions\n');
    const keys = open();
    expect([keys.find('one'), scopesOf(keys.find('222'))]).toEqual([expect.anything(), ['sessions']]);
    write('two:222 media\ntwo:successor media\n');
    expect(scopesOf(keys.find('222'))).toEqual(['sessions']);
    nowMs += 1000;
    expect([keys.find('one'), scopesOf(keys.find('222'))]).toEqual([undefined, ['media']]);
    expect(keys.find('successor')?.name).toBe('two');
  });

  it('admits only fixed keys when it is gone', () => {
    write('one\n');
    const keys = open(['fixed']);
    expect(keys.find('one')).toBeDefined();
    rmSync(file);
    nowMs += 1000;
    expect([keys.find('one'), keys.find('fixed')]).toEqual([undefined, expect.anything()]);
    write('one\n');
    nowMs += 1000;
    expect(keys.find('one')).toBeDefined();
  });
});

describe('ApiKey', () => {
  const key = new ApiKey('backend', ['sessions'], ['demo']);

  it('throws with the missing scope or avatar', () => {
    expect(() => key.require('media')).toThrow(
      expect.objectContaining({
        code: 'forbidden',
        extra: { scope: 'media' },
        message: expect.stringContaining('media'),
      }),
    );
    expect(() => key.require('media', 'speak')).toThrow('lacks the scope media or speak');
    expect(() => key.requireAvatar('other')).toThrow(
      expect.objectContaining({ code: 'forbidden', extra: { avatar: 'other' } }),
    );
  });

  it('permits one of the scopes, and an avatar of its list', () => {
    expect(() => key.require('operate', 'sessions')).not.toThrow();
    expect(() => key.requireAvatar('demo')).not.toThrow();
  });
});

describe('bearerOf()', () => {
  it('returns the credentials, whatever the case of the scheme', () => {
    expect(bearerOf('Bearer abc')).toBe('abc');
    expect(bearerOf('bearer  abc ')).toBe('abc');
  });

  it.each([undefined, '', 'Bearer', 'Bearer ', 'Basic abc', 'Bearer a b', 'abc'])(
    'returns undefined for %j',
    (header) => {
      expect(bearerOf(header)).toBeUndefined();
    },
  );
});
