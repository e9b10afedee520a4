import { type ConfigOf, setting, signalingSettings, tracingSettings } from '@humancast/shared';

const { logLevel, bindAddress, metricsAddress, shutdownTimeoutMs, apiKeys, idempotencyTtlSeconds } = signalingSettings;

/** Settings of the demo producer; README.md lists them, and a test checks that it does. */
export const demoProducerSettings = {
  logLevel,
  bindAddress,
  metricsAddress,
  shutdownTimeoutMs,
  ...tracingSettings,
  port: setting.int('SAY_PORT', [0, 65_535], 8082, 'Port on which signaling hands texts over; not for the public'),
  metricsPort: setting.int('SAY_METRICS_PORT', [0, 65_535], 9104, 'Port of /metrics, /healthz and /readyz'),
  /** The first that is not a hash is shown to signaling and segment-loader; callers must show one of them. */
  apiKeys,
  idempotencyTtlSeconds,
  signalingUrl: setting.url('SIGNALING_URL', ['http', 'https'], 'http://127.0.0.1:8080', 'Where signaling is'),
  loaderUrl: setting.url('LOADER_URL', ['http', 'https'], 'http://127.0.0.1:8081', 'Where segment-loader is'),
  voice: setting.string('SAY_VOICE', 'en-us+f2', 'A voice of espeak-ng (espeak-ng --voices)'),
  pictureSize: setting.int('SAY_PICTURE_SIZE', [160, 1280], 640, 'Side of the drawn picture, pixels'),
  textLimit: setting.int('SAY_TEXT_LIMIT', [1, 2000], 500, 'Longest text, characters'),
  queueLimit: setting.int('SAY_QUEUE_LIMIT', [0, 100], 4, 'Texts that may wait in one session'),
  sessionLimit: setting.int(
    'SAY_SESSION_LIMIT',
    [1, 100],
    3,
    'Sessions that are spoken in at once: a third of a core each',
  ),
  aheadMs: setting.int(
    'SAY_AHEAD_MS',
    [100, 10_000],
    700,
    'Milliseconds of speech drawn ahead of real time: in vain if it is interrupted',
  ),
};
export type DemoProducerConfig = ConfigOf<typeof demoProducerSettings>;
