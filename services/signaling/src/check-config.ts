import { ConfigError, demoModeOf, type Logger, type SignalingConfig } from '@humancast/shared';

/** @returns The configuration with the demo mode in effect. @throws ConfigError if settings contradict each other. */
export function checkConfig(given: SignalingConfig, logger: Logger): SignalingConfig {
  const demo = demoModeOf(given);
  if (demo.why !== undefined) logger.warn(demo.why);
  if (given.turnUrls.length > 0 && given.turnSecret === '') {
    throw new ConfigError(
      'TURN_SECRET: not set; it must be what coturn has as static-auth-secret, as TURN_URLS is set',
    );
  }
  return { ...given, publicDemo: demo.mode !== 'off' };
}
