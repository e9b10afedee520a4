import { describe, expect, it } from 'vitest';
import { loadConfig } from './define.js';
import { demoModeOf } from './demo.js';
import { signalingSettings } from './settings.js';

describe('demoModeOf()', () => {
  const modeOf = (env: Record<string, string>) =>
    demoModeOf(loadConfig(signalingSettings, { TOKEN_SECRET: 'sixteen-characters', ...env }));

  it.each([
    ['off', {}],
    ['off', { BIND_ADDRESS: '127.0.0.1' }],
    ['off', { BIND_ADDRESS: '127.0.0.1', PUBLIC_DEMO_PUBLISHED: 'true' }],
    ['local', { PUBLIC_DEMO: 'true', BIND_ADDRESS: '127.0.0.1' }],
    ['local', { PUBLIC_DEMO: 'true', BIND_ADDRESS: '::1' }],
    // In a container, which listens everywhere: where it is published counts.
    ['local', { PUBLIC_DEMO: 'true', PUBLISH_ADDRESS: '127.0.0.1' }],
    ['published', { PUBLIC_DEMO: 'true', PUBLISH_ADDRESS: '0.0.0.0', PUBLIC_DEMO_PUBLISHED: 'true' }],
    ['published', { PUBLIC_DEMO: 'true', BIND_ADDRESS: '127.0.0.1', PUBLIC_DEMO_PUBLISHED: 'true' }],
  ])('is %s with %j', (mode, env) => {
    expect(modeOf(env)).toEqual({ mode });
  });

  it.each([
    ['BIND_ADDRESS=0.0.0.0', {}],
    ['BIND_ADDRESS=192.168.0.4', { BIND_ADDRESS: '192.168.0.4' }],
    ['PUBLISH_ADDRESS=0.0.0.0', { PUBLISH_ADDRESS: '0.0.0.0', BIND_ADDRESS: '127.0.0.1' }],
    ['TRUST_PROXY is set', { TRUST_PROXY: '1', BIND_ADDRESS: '127.0.0.1' }],
  ])('is off if others can reach the service (%s), and states how to enable it', (where, env) => {
    const { mode, why } = modeOf({ PUBLIC_DEMO: 'true', ...env });
    expect(mode).toBe('off');
    expect(why).toContain(where);
    expect(why).toContain('PUBLIC_DEMO_PUBLISHED=true');
  });
});
