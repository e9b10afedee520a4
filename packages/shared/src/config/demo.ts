import { isLoopback } from '../limits/network.js';
import type { TrustedProxies } from '../limits/trusted-proxies.js';

export interface DemoConfig {
  readonly publicDemo: boolean;
  readonly publicDemoPublished: boolean;
  readonly publishAddress: string;
  readonly bindAddress: string;
  readonly trustProxy: TrustedProxies;
}

/**
 * Whether visitors without an API key may create sessions.
 * - `off`: they may not; `why` states the reason if demo mode was requested.
 * - `local`: they may, because only this machine can reach the service.
 * - `published`: they may, although others can reach the service, because the configuration confirms it.
 */
export interface DemoMode {
  readonly mode: 'off' | 'local' | 'published';
  readonly why?: string;
}

/**
 * Determines the demo mode: `PUBLIC_DEMO` alone is effective on loopback only, otherwise `PUBLIC_DEMO_PUBLISHED` must
 * confirm it.
 */
export function demoModeOf(config: DemoConfig): DemoMode {
  if (!config.publicDemo) return { mode: 'off' };
  const where = publicationOf(config);
  if (where === undefined) return { mode: config.publicDemoPublished ? 'published' : 'local' };
  if (config.publicDemoPublished) return { mode: 'published' };
  const why =
    `demo mode is off: PUBLIC_DEMO counts on loopback only, and others can reach this service (${where}); ` +
    'for a demo that is open to everybody set PUBLIC_DEMO_PUBLISHED=true as well, else PUBLIC_DEMO=false';
  return { mode: 'off', why };
}

/** @returns The setting by which others can reach the service; `undefined` if only this machine can. */
function publicationOf({ publishAddress, bindAddress, trustProxy }: DemoConfig): string | undefined {
  if (trustProxy.any) return 'TRUST_PROXY is set';
  if (publishAddress !== '') return isLoopback(publishAddress) ? undefined : `PUBLISH_ADDRESS=${publishAddress}`;
  return isLoopback(bindAddress) ? undefined : `BIND_ADDRESS=${bindAddress}`;
}
