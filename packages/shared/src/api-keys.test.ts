import { createHash } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiKeys, bearerOf } from './api-keys.js';

const hashed = (key: string) => `sha256:${createHash('sha256').update(key).digest('hex')}`;

describe('ApiKeys', () => {
  const apiKeys = new ApiKeys(['first key', 'second key']);

  it('knows each of its keys', () => {
    expect([apiKeys.has('first key'), apiKeys.has('second key')]).toEqual([true, true]);
  });

  it('knows nothing else', () => {
    for (const key of ['', 'first', 'first key ', 'FIRST KEY']) expect(apiKeys.has(key)).toBe(false);
  });

  it('lets nobody in when there are none', () => {
    expect(new ApiKeys([]).has('')).toBe(false);
  });

  it('knows a key by its hash, and does not take the hash for the key', () => {
    const keys = new ApiKeys([hashed('first key')]);
    expect([keys.has('first key'), keys.has(hashed('first key'))]).toEqual([true, false]);
  });
});

describe('a file of API keys', () => {
  let folder: string;
  let file: string;
  let nowMs: number;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-keys-'));
    file = join(folder, 'api-keys');
    nowMs = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const write = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };

  it('holds keys and hashes, with comments', () => {
    write(`# ours\n${hashed('one')} # backend, 2026-01-01\n\ntwo, three\n`);
    const keys = new ApiKeys(['fixed'], file);
    expect(['one', 'two', 'three', 'fixed'].map((key) => keys.has(key))).toEqual([true, true, true, true]);
    expect(['', '#', 'ours', 'backend', '2026-01-01'].some((key) => keys.has(key))).toBe(false);
  });

  it('takes keys away and adds some while the service runs', () => {
    write('one\ntwo\n');
    const keys = new ApiKeys([], file, () => nowMs);
    expect([keys.has('one'), keys.has('new')]).toEqual([true, false]);
    write('two\nnew\n');
    nowMs += 1000;
    expect([keys.has('one'), keys.has('two'), keys.has('new')]).toEqual([false, true, true]);
  });

  it('lets nobody in when it is gone, but those with a fixed key', () => {
    write('one\n');
    const keys = new ApiKeys(['fixed'], file, () => nowMs);
    expect(keys.has('one')).toBe(true);
    rmSync(file);
    nowMs += 1000;
    expect([keys.has('one'), keys.has('fixed')]).toEqual([false, true]);
    write('one\n');
    nowMs += 1000;
    expect(keys.has('one')).toBe(true);
  });
});

describe('bearerOf', () => {
  it('reads the credentials, whatever the case of the scheme', () => {
    expect(bearerOf('Bearer abc')).toBe('abc');
    expect(bearerOf('bearer  abc ')).toBe('abc');
  });

  it.each([undefined, '', 'Bearer', 'Bearer ', 'Basic abc', 'Bearer a b', 'abc'])('finds none in %j', (header) => {
    expect(bearerOf(header)).toBeUndefined();
  });
});
