import { describe, expect, it } from 'vitest';
import { ApiKeys, bearerOf } from './api-keys.js';

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
