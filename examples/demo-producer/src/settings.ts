import { type ConfigOf, setting, signalingSettings, tracingSettings } from '@humancast/shared';

const { logLevel, bindAddress, metricsAddress, shutdownTimeoutMs, apiKeys, idempotencyTtlSeconds } = signalingSettings;

/** Settings of the demo producer; README.md lists them, and a test checks that it does. */
export const demoProducerSettings = {
  logLevel,
  bindAddress,
  metricsAddress,
  shutdownTimeoutMs,
  ...tracingSettings,
  port: setting.int('SAY_PORT', [0, 65_535], 8082, 'Port for texts from signaling; keep it private'),
  metricsPort: setting.int('SAY_METRICS_PORT', [0, 65_535], 9104, 'Port of /metrics, /healthz and /readyz'),
  /** The first key that is not a hash authenticates to signaling and segment-loader; callers must present any of them. */
  apiKeys,
  idempotencyTtlSeconds,
  signalingUrl: setting.url('SIGNALING_URL', ['http', 'https'], 'http://127.0.0.1:8080', 'URL of signaling'),
  loaderUrl: setting.url('LOADER_URL', ['http', 'https'], 'http://127.0.0.1:8081', 'URL of segment-loader'),
  voice: setting.string('SAY_VOICE', 'en-us+f2', 'espeak-ng voice (espeak-ng --voices)'),
  pictureSize: setting.int('SAY_PICTURE_SIZE', [160, 1280], 640, 'Width and height of the video, pixels'),
  textLimit: setting.int('SAY_TEXT_LIMIT', [1, 2000], 500, 'Maximum length of a text, characters'),
  queueLimit: setting.int('SAY_QUEUE_LIMIT', [0, 100], 4, 'Maximum number of texts waiting in one session'),
  sessionLimit: setting.int(
    'SAY_SESSION_LIMIT',
    [1, 100],
    3,
    'Maximum number of sessions speaking at once; each takes a third of a core',
  ),
  aheadMs: setting.int(
    'SAY_AHEAD_MS',
    [100, 10_000],
    700,
    'Milliseconds of speech drawn ahead of real time; wasted if interrupted',
  ),
};
export type DemoProducerConfig = ConfigOf<typeof demoProducerSettings>;
