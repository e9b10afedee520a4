import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, describeSettings, loadConfig, setting } from './define.js';

const settings = {
  port: setting.int('PORT', [0, 65_535], 8080, 'Port to listen on'),
  ratio: setting.number('RATIO', [0, 1], 0.5, 'A ratio'),
  loud: setting.bool('LOUD', false, 'Whether it is loud'),
  mode: setting.oneOf('MODE', ['fast', 'safe'], 'safe', 'How it works'),
  hosts: setting.list('HOSTS', '', 'Who may come'),
  url: setting.url('DB_URL', ['redis', 'rediss'], 'redis://127.0.0.1', 'The database'),
  secret: setting.secret('SECRET', 'Key that signs things'),
  spare: setting.secret('SPARE_SECRET', 'Not needed', true),
};
const SECRET = 'correct horse battery staple';
const load = (env: Record<string, string>) => loadConfig(settings, { SECRET, ...env });

function problemsOf(env: Record<string, string>): string {
  try {
    load(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error('it was accepted');
}

describe('loadConfig', () => {
  it('returns the default for an unset or empty variable', () => {
    const expected = {
      port: 8080,
      ratio: 0.5,
      loud: false,
      mode: 'safe',
      hosts: [],
      url: 'redis://127.0.0.1',
      secret: SECRET,
      spare: '',
    };
    expect(load({})).toEqual(expected);
    expect(load({ PORT: '', LOUD: '', HOSTS: '' })).toEqual(expected);
  });

  it('parses values of every kind', () => {
    expect(load({ PORT: '0', RATIO: '0.25', LOUD: '1', MODE: 'fast', HOSTS: ' a, b,,' })).toMatchObject({
      port: 0,
      ratio: 0.25,
      loud: true,
      mode: 'fast',
      hosts: ['a', 'b'],
    });
  });

  it.each([
    ['PORT', '65536', 'a whole number from 0 to 65535'],
    ['PORT', '80.5', 'a whole number from 0 to 65535'],
    ['PORT', ' 80', 'a whole number from 0 to 65535'],
    ['PORT', '0x50', 'a whole number from 0 to 65535'],
    ['RATIO', '1.01', 'a number from 0 to 1'],
    ['RATIO', 'NaN', 'a number from 0 to 1'],
    ['LOUD', 'yes', '"true" or "false"'],
    ['MODE', 'slow', 'one of fast, safe'],
    ['DB_URL', 'http://127.0.0.1', 'a URL starting with redis:// or rediss://'],
    ['DB_URL', '127.0.0.1:6379', 'a URL starting with redis:// or rediss://'],
    ['SECRET', 'short', 'at least 16 characters'],
    ['SPARE_SECRET', 'short', 'at least 16 characters'],
  ])('rejects %s=%s with the name and what it must be', (variable, value, mustBe) => {
    const message = problemsOf({ [variable]: value });
    expect(message).toContain(`${variable}:`);
    expect(message).toContain(mustBe);
    expect(message.split('\n')).toHaveLength(1);
  });

  it('reports all invalid variables at once', () => {
    const message = problemsOf({ PORT: 'x', MODE: 'y' });
    expect(message).toContain('PORT: "x"');
    expect(message).toContain('MODE: "y"');
  });

  it('names a missing variable and its purpose', () => {
    const message = problemsOf({ SECRET: '' });
    expect(message).toContain('SECRET: not set');
    expect(message).toContain('Key that signs things');
  });

  it('repeats neither secrets nor URLs, which may contain a password', () => {
    expect(problemsOf({ SECRET: 'hunter2' })).not.toContain('hunter2');
    expect(problemsOf({ DB_URL: 'redis:/user:hunter2@host' })).toMatch(/^DB_URL: the value must be/);
    expect(problemsOf({ DB_URL: 'http://user:hunter2@host' })).not.toContain('hunter2');
  });

  it('reads a value from the file in NAME_FILE, unless NAME is set', () => {
    const folder = mkdtempSync(join(tmpdir(), 'humancast-config-'));
    try {
      const file = join(folder, 'secret');
      writeFileSync(file, 'out of a file, sixteen\n');
      expect(loadConfig(settings, { SECRET_FILE: file }).secret).toBe('out of a file, sixteen');
      expect(load({ SECRET_FILE: file }).secret).toBe(SECRET);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('names a file that cannot be read', () => {
    expect(() => loadConfig(settings, { SECRET_FILE: '/nowhere/secret' })).toThrow(/SECRET_FILE: .*\/nowhere\/secret/);
  });
});

describe('describeSettings', () => {
  it('lists every variable with its purpose and default', () => {
    const text = describeSettings(settings);
    expect(text).toContain('PORT\n      Port to listen on\n      a whole number from 0 to 65535; default: 8080');
    expect(text).toContain('no default: must be set');
    expect(text).toContain('default: empty');
  });
});
