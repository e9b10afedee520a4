import { describe, expect, it } from 'vitest';
import { loadConfig } from './define.js';
import { loaderSettings, senderSettings, serviceSettings, signalingSettings } from './settings.js';

describe('service settings', () => {
  it('accept their own defaults', () => {
    for (const settings of Object.values(serviceSettings)) {
      expect(() => loadConfig(settings, { TOKEN_SECRET: 'sixteen-characters' })).not.toThrow();
    }
  });

  it('never use one variable for two purposes', () => {
    for (const settings of Object.values(serviceSettings)) {
      const variables = Object.values(settings).map(({ variable }) => variable);
      expect(new Set(variables).size).toBe(variables.length);
    }
  });

  it('have the same meaning in all services that read them', () => {
    const seen = new Map<string, string>();
    for (const { variable, fallback, doc } of Object.values(serviceSettings).flatMap((s) => Object.values(s))) {
      const meaning = `${fallback} ${doc}`;
      if (seen.has(variable)) expect(meaning).toBe(seen.get(variable));
      seen.set(variable, meaning);
    }
    expect(seen.size).toBeGreaterThan(30);
  });

  it('leave the API key file to the code that re-reads it on changes', () => {
    const config = loadConfig(loaderSettings, { HUMANCAST_API_KEY_FILE: '/not/there' });
    expect(config).toMatchObject({ apiKeys: [], apiKeyFile: '/not/there' });
  });

  it('accept origins that may frame a page, and nothing that adds to the policy', () => {
    const origins = (EMBED_ANCESTORS: string) =>
      loadConfig(signalingSettings, { TOKEN_SECRET: 'sixteen-characters', EMBED_ANCESTORS }).embedAncestors;
    expect(origins('')).toEqual([]);
    expect(origins('*')).toEqual(['*']);
    expect(origins('https://a.example, https://*.b.example:8443')).toEqual([
      'https://a.example',
      'https://*.b.example:8443',
    ]);
    for (const text of ['a.example', "'self'", 'https://a.example; script-src *', 'https://a.example/path', 'https:'])
      expect(() => origins(text)).toThrow('EMBED_ANCESTORS');
  });

  it('accept several token keys, newest first, and reject short ones', () => {
    const keys = (TOKEN_SECRET: string) => loadConfig(signalingSettings, { TOKEN_SECRET }).tokenSecret;
    expect(keys('sixteen-characters,another-of-sixteen\n')).toEqual(['sixteen-characters', 'another-of-sixteen']);
    for (const text of [',', 'short', 'sixteen-characters,short'])
      expect(() => keys(text)).toThrow('TOKEN_SECRET: the value');
  });

  it('never show an API key', () => {
    expect(signalingSettings.apiKeys.secret).toBe(true);
    expect(loadConfig(loaderSettings, { HUMANCAST_API_KEY: 'one, two' }).apiKeys).toEqual(['one', 'two']);
  });
});

describe('RENDITIONS', () => {
  const parse = (RENDITIONS: string) => loadConfig(loaderSettings, { RENDITIONS }).renditions;

  it('parses a list of encodings', () => {
    expect(parse('hd:vp8:1280x720:1500k, sd:h264:640x360:500k')).toEqual([
      { id: 'hd', codec: 'vp8', maxWidth: 1280, maxHeight: 720, bitrateBps: 1_500_000 },
      { id: 'sd', codec: 'h264', maxWidth: 640, maxHeight: 360, bitrateBps: 500_000 },
    ]);
  });

  it.each([
    'vp8',
    'hd:vp9:1280x720:1500k',
    'hd:vp8:1280x720:1500',
    'hd:vp8:8x8:1500k',
    'hd:vp8:1280x720:1k',
    'hd:vp8:1280x720:1500k,',
    'hd:vp8:1280x720:1500k,hd:h264:1280x720:1500k',
    'HD/..:vp8:1280x720:1500k',
  ])('rejects %s', (text) => {
    expect(() => parse(text)).toThrow(/RENDITIONS: .* must be a list of ID:CODEC/);
  });
});

describe('ANNOUNCED_ADDRESSES', () => {
  const parse = (ANNOUNCED_ADDRESSES: string) => loadConfig(senderSettings, { ANNOUNCED_ADDRESSES }).announcedAddresses;

  it('parses IP addresses of both families', () => {
    expect(parse('203.0.113.5, 2001:db8::5')).toEqual(['203.0.113.5', '2001:db8::5']);
    expect(parse('')).toEqual([]);
  });

  it.each(['media.example.org', '203.0.113.5:40000', '203.0.113.0/24'])('rejects %s', (text) => {
    expect(() => parse(text)).toThrow(/ANNOUNCED_ADDRESSES/);
  });
});

describe('UDP_PORT_RANGE', () => {
  const parse = (UDP_PORT_RANGE: string) => loadConfig(senderSettings, { UDP_PORT_RANGE }).udpPortRange;

  it('parses a range, one port, or any port', () => {
    expect(parse('20000-20100')).toEqual([20_000, 20_100]);
    expect(parse('20000')).toEqual([20_000, 20_000]);
    expect(parse('any')).toBeUndefined();
  });

  it.each(['80', '20100-20000', '80-90', '20000-', '20000-70000', 'all', '20000 - 20100'])('rejects %s', (text) => {
    expect(() => parse(text)).toThrow(/UDP_PORT_RANGE/);
  });
});
