import { z } from 'zod';
import { TrustedProxies } from '../limits/trusted-proxies.js';
import { type RenditionConfig, renditionConfigSchema } from '../media/avatar.js';
import { type ConfigOf, setting } from './define.js';

const redisProtocols = ['redis', 'rediss', 'redis+cluster', 'rediss+cluster'];

const endpoint = z.union([z.literal(''), z.url({ protocol: /^https?$/ })]);
const endpointMustBe = 'a URL starting with http:// or https://, or empty';

/** Where traces go. The names are OpenTelemetry's own; what else its exporter reads (headers, certificates) is as it says. */
export const tracingSettings = {
  otlpEndpoint: setting.custom(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    endpoint,
    endpointMustBe,
    '',
    'Where traces are sent (OTLP over HTTP; /v1/traces is added), e.g. http://jaeger:4318; empty: nothing is traced',
  ),
  otlpTracesEndpoint: setting.custom(
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    endpoint,
    endpointMustBe,
    '',
    'The same for traces alone, as the whole URL',
  ),
  tracesShare: setting.number(
    'OTEL_TRACES_SAMPLER_ARG',
    [0, 1],
    1,
    'Of the traces that begin here, the share that is recorded; those of callers are as they say',
  ),
};

/** Settings of every service. */
const common = {
  logLevel: setting.oneOf(
    'LOG_LEVEL',
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace'],
    'info',
    'Least severe log lines that are written',
  ),
  redisQueueUrl: setting.url(
    'REDIS_QUEUE_URL',
    redisProtocols,
    'redis://127.0.0.1:6379',
    'The Redis of sessions, jobs and mailboxes (noeviction, append-only file); redis+cluster://… for any node of a cluster',
  ),
  redisMediaUrl: setting.url(
    'REDIS_MEDIA_URL',
    redisProtocols,
    'redis://127.0.0.1:6380',
    'The Redis of encoded frames and PCM (memory ceiling); redis+cluster://… for any node of a cluster',
  ),
  bindAddress: setting.string('BIND_ADDRESS', '0.0.0.0', 'Address the public port listens on'),
  metricsAddress: setting.string(
    'METRICS_ADDRESS',
    '127.0.0.1',
    'Address the metrics port listens on; not for the public',
  ),
  shutdownTimeoutMs: setting.int(
    'SHUTDOWN_TIMEOUT_MS',
    [100, 600_000],
    10_000,
    'Milliseconds after SIGTERM at which a service exits with what it has not finished',
  ),
  ...tracingSettings,
};

/** Settings of the services with a public port. */
const door = {
  trustProxy: setting.custom(
    'TRUST_PROXY',
    z.string().transform((text, ctx): TrustedProxies => {
      const proxies = TrustedProxies.parse(text);
      if (proxies) return proxies;
      ctx.addIssue({ code: 'custom', message: 'not a list of proxies' });
      return z.NEVER;
    }),
    '"false", "true" (one proxy), a number of proxies up to 10, or a list of addresses and CIDR ranges (also loopback, linklocal, uniquelocal)',
    'false',
    'Reverse proxies of your own in front of this port, whose X-Forwarded-For is believed',
  ),
  connectionLimit: setting.int(
    'CONNECTION_LIMIT',
    [10, 1_000_000],
    10_000,
    'TCP connections to the public port of one process at once',
  ),
  connectionsPerAddress: setting.int(
    'CONNECTIONS_PER_ADDRESS',
    [1, 1_000_000],
    2500,
    'TCP connections from one address at once, to the public port of one process; those of TRUST_PROXY are not counted',
  ),
  headersTimeoutMs: setting.int(
    'HEADERS_TIMEOUT_MS',
    [100, 600_000],
    10_000,
    'Milliseconds in which a connection must send the head of a request',
  ),
  addressRequestsPerMinute: setting.int(
    'ADDRESS_REQUESTS_PER_MINUTE',
    [1, 10_000_000],
    3000,
    'HTTP requests a minute from one address, without an API key, at each process',
  ),
  keyRequestsPerSecond: setting.int(
    'KEY_REQUESTS_PER_SECOND',
    [1, 1_000_000],
    500,
    'HTTP requests a second with one API key, on average over ten, at each process',
  ),
};

/** RFC 7065 §3.1. Browsers throw at a bare IPv6 address, whose end can't be told from a port. */
const turnUri = z.string().regex(/^turns?:(\[[\da-f:.]+\]|[^[\]:?/\s]+)(:\d{1,5})?(\?transport=(udp|tcp))?$/i);
const turnUriList = z
  .string()
  .transform((text) => text.split(',').flatMap((uri) => uri.trim() || []))
  .pipe(z.array(turnUri));
const turnUrisMustBe =
  'a comma-separated list of TURN URIs such as turn:host:3478?transport=udp, with IPv6 addresses in brackets';

const codecs = 'vp8 or h264';

/** `ID:CODEC:WIDTHxHEIGHT:KBITS`, several separated by commas. */
const renditionList = z.string().transform((text, ctx): RenditionConfig[] => {
  const list = text.split(',').map((part) => {
    const match = /^([^:]+):([^:]+):(\d+)x(\d+):(\d+)k$/.exec(part.trim());
    const parsed = renditionConfigSchema.safeParse({
      id: match?.[1],
      codec: match?.[2],
      maxWidth: Number(match?.[3]),
      maxHeight: Number(match?.[4]),
      bitrateBps: Number(match?.[5]) * 1000,
    });
    return parsed.success ? parsed.data : undefined;
  });
  if (list.some((item) => item === undefined) || new Set(list.map((item) => item?.id)).size !== list.length) {
    ctx.addIssue({ code: 'custom', message: 'not a list of renditions' });
    return z.NEVER;
  }
  return list as RenditionConfig[];
});

export const signalingSettings = {
  ...common,
  ...door,
  port: setting.int('SIGNALING_PORT', [0, 65_535], 8080, 'Port of the console, REST, WHEP and WebSocket signalling'),
  metricsPort: setting.int('SIGNALING_METRICS_PORT', [0, 65_535], 9101, 'Port of /metrics'),
  apiKeys: setting.secretList(
    'HUMANCAST_API_KEY',
    'API keys that may do everything, comma-separated, each as it is or as sha256:HEX; none here nor in the file: nobody may act as a producer',
  ),
  apiKeyFile: setting.string(
    'HUMANCAST_API_KEY_FILE',
    '',
    'File of more API keys, one a line: [NAME:]KEY [SCOPES] [AVATARS] (docs/security.md); # starts a comment; read again when it changes',
  ),
  tokenSecret: setting.signingKeys('TOKEN_SECRET', 'Keys that sign session tokens: the first signs, all are believed'),
  publicDemo: setting.bool(
    'PUBLIC_DEMO',
    false,
    'Whether a page without a key may make a session and speak in it; counts only where PUBLISH_ADDRESS (or BIND_ADDRESS) is loopback',
  ),
  publicDemoPublished: setting.bool(
    'PUBLIC_DEMO_PUBLISHED',
    false,
    'Whether PUBLIC_DEMO counts also where others can reach this service',
  ),
  publishAddress: setting.string(
    'PUBLISH_ADDRESS',
    '',
    'Address at which the public port is published, where that is not BIND_ADDRESS (containers)',
  ),
  demoSessionsPerAddress: setting.int(
    'DEMO_SESSIONS_PER_ADDRESS',
    [1, 10_000],
    10,
    'Demo sessions made from one address at once, at each signaling process',
  ),
  demoJoinTimeoutSeconds: setting.int(
    'DEMO_JOIN_TIMEOUT_SECONDS',
    [5, 86_400],
    30,
    'Seconds after which a demo session that nobody joined ends',
  ),
  demoMaxSeconds: setting.int('DEMO_MAX_SECONDS', [10, 604_800], 1800, 'Seconds after which a demo session ends'),
  demoSessionLimit: setting.int('DEMO_SESSION_LIMIT', [1, 10_000], 50, 'Demo sessions at once'),
  sessionTokenTtlSeconds: setting.int(
    'SESSION_TOKEN_TTL_SECONDS',
    [10, 86_400],
    3600,
    'Seconds in which a session token can be used to join',
  ),
  sessionLimit: setting.int('SESSION_LIMIT', [1, 100_000], 2000, 'Sessions at once, over all media-senders'),
  sessionJoinTimeoutSeconds: setting.int(
    'SESSION_JOIN_TIMEOUT_SECONDS',
    [5, 86_400],
    300,
    'Seconds after which a session that nobody joined ends',
  ),
  idempotencyTtlSeconds: setting.int(
    'IDEMPOTENCY_TTL_SECONDS',
    [10, 86_400],
    3600,
    'Seconds for which an Idempotency-Key is remembered',
  ),
  sessionQueueLimit: setting.int('SESSION_QUEUE_LIMIT', [1, 1000], 500, 'Segments queued in one session'),
  viewerLimit: setting.int('VIEWERS_PER_SESSION', [1, 1000], 20, 'Viewers of one session'),
  viewerGraceMs: setting.int(
    'VIEWER_GRACE_MS',
    [0, 3_600_000],
    90_000,
    'Milliseconds a viewer may be away without having left (a locked phone, a tunnel) and find its session again',
  ),
  turnUrls: setting.custom(
    'TURN_URLS',
    turnUriList,
    turnUrisMustBe,
    '',
    'TURN servers handed to viewers, e.g. turn:host:3478?transport=udp; empty: viewers connect directly',
  ),
  turnLocalUrls: setting.custom(
    'TURN_LOCAL_URLS',
    turnUriList,
    turnUrisMustBe,
    '',
    'More addresses of the same TURN server, handed out only while all of TURN_URLS are loopback, which Firefox refuses',
  ),
  turnSecret: setting.secret(
    'TURN_SECRET',
    'Secret shared with coturn (static-auth-secret); needed when TURN_URLS is set',
    true,
  ),
  turnTtlSeconds: setting.int(
    'TURN_TTL_SECONDS',
    [5, 86_400],
    3600,
    'Seconds for which a TURN credential is valid; each offer brings a new one',
  ),
  turnUsersPerHour: setting.int(
    'TURN_USERS_PER_HOUR',
    [1, 1_000_000],
    600,
    'TURN users made an hour for one address, and for the token of one session, at each signaling process; a viewer is one',
  ),
  turnUsersPerKeyPerHour: setting.int(
    'TURN_USERS_PER_KEY_PER_HOUR',
    [1, 10_000_000],
    36_000,
    'TURN users made an hour for one API key, at each signaling process',
  ),
  relayOnly: setting.bool('RELAY_ONLY', true, 'Whether viewers use nothing but the relay when TURN_URLS is set'),
  allowedOrigins: setting.list(
    'ALLOWED_ORIGINS',
    '',
    'Web origins, besides our own, that may use REST and the WebSocket; * for all',
  ),
  heartbeatMs: setting.int(
    'SIGNAL_HEARTBEAT_MS',
    [1000, 120_000],
    10_000,
    'Milliseconds between pings; a peer silent for two of them is gone',
  ),
  messageLimitBytes: setting.int('SIGNAL_MESSAGE_LIMIT_BYTES', [1024, 1_048_576], 65_536, 'Largest signalling message'),
  messagesPerSecond: setting.int(
    'SIGNAL_MESSAGES_PER_SECOND',
    [1, 10_000],
    50,
    'Signalling messages a connection may send a second, on average over ten',
  ),
  connectsPerMinute: setting.int(
    'CONNECTS_PER_MINUTE',
    [1, 1_000_000],
    600,
    'New WebSocket connections, demo sessions and WHEP requests a minute from one address, at each signaling process',
  ),
  signalConnectionsPerAddress: setting.int(
    'SIGNAL_CONNECTIONS_PER_ADDRESS',
    [1, 1_000_000],
    1000,
    'Signalling WebSockets from one address at once, at each signaling process',
  ),
  requestTimeoutMs: setting.int(
    'SIGNALING_REQUEST_TIMEOUT_MS',
    [100, 600_000],
    30_000,
    'Milliseconds in which a request to signaling must have arrived, with its body',
  ),
  sessionRequestsPerSecond: setting.int(
    'SESSION_REQUESTS_PER_SECOND',
    [1, 1_000_000],
    20,
    'HTTP requests a second with the tokens of one session, on average over ten, at each signaling process',
  ),
  interruptsPerMinute: setting.int(
    'INTERRUPTS_PER_MINUTE',
    [1, 1_000_000],
    120,
    'Interruptions a minute by the viewers of one session, at each signaling process',
  ),
  eventStreamLimit: setting.int(
    'EVENT_STREAM_LIMIT',
    [1, 1_000_000],
    5000,
    'Event streams (server-sent events) open at once, at each signaling process',
  ),
  eventStreamsPerSession: setting.int(
    'EVENT_STREAMS_PER_SESSION',
    [1, 1_000_000],
    100,
    'Event streams of one session open at once, at each signaling process',
  ),
  eventStreamsPerKey: setting.int(
    'EVENT_STREAMS_PER_KEY',
    [1, 1_000_000],
    2500,
    'Event streams that one API key has open at once, at each signaling process',
  ),
  eventStreamsPerAddress: setting.int(
    'EVENT_STREAMS_PER_ADDRESS',
    [1, 1_000_000],
    200,
    'Event streams opened with session tokens from one address at once, at each signaling process',
  ),
  consoleDir: setting.string('CONSOLE_DIR', '', 'Folder of the built console; empty: the one in this repository'),
  sayUrl: setting.custom(
    'SAY_URL',
    endpoint,
    endpointMustBe,
    '',
    'Where the demo producer is, which says typed texts; empty: nowhere',
  ),
  sayKey: setting.secret(
    'SAY_KEY',
    'API key that the demo producer is shown; empty: the first of HUMANCAST_API_KEY that is not a hash',
    true,
  ),
  sayAvatars: setting.list('SAY_AVATARS', 'demo', 'Avatars that the demo producer draws'),
};
export type SignalingConfig = ConfigOf<typeof signalingSettings>;

export const loaderSettings = {
  ...common,
  ...door,
  port: setting.int('LOADER_PORT', [0, 65_535], 8081, "Port of the producers' REST and live push"),
  metricsPort: setting.int('LOADER_METRICS_PORT', [0, 65_535], 9102, 'Port of /metrics'),
  apiKeys: signalingSettings.apiKeys,
  apiKeyFile: signalingSettings.apiKeyFile,
  mediaDir: setting.string(
    'MEDIA_DIR',
    'media',
    'Watched folder: <avatar>/idle/, <avatar>/segments/ and, for compositions, <avatar>/layers/',
  ),
  scratchDir: setting.string('SCRATCH_DIR', '', "Folder for uploads while they are loaded; empty: the system's"),
  settleMs: setting.int(
    'WATCH_SETTLE_MS',
    [50, 60_000],
    1000,
    'Milliseconds a file must have stopped growing before it is loaded',
  ),
  rescanMs: setting.int(
    'WATCH_RESCAN_MS',
    [500, 600_000],
    5000,
    'Milliseconds between full looks at the folder and the media store, for what notifications missed',
  ),
  loadConcurrency: setting.int('LOAD_CONCURRENCY', [1, 64], 1, 'Files encoded at once'),
  loadQueueLimit: setting.int('LOAD_QUEUE_LIMIT', [1, 100_000], 64, 'Uploads waiting to be encoded'),
  uploadsPerKey: setting.int(
    'UPLOADS_PER_KEY',
    [1, 100_000],
    48,
    'Uploads of one API key being received, waiting or being encoded at once',
  ),
  uploadLimitBytes: setting.int('UPLOAD_LIMIT_BYTES', [1024, 17_179_869_184], 536_870_912, 'Largest upload'),
  maxDurationSeconds: setting.int('MAX_DURATION_SECONDS', [1, 86_400], 3600, 'Longest file'),
  maxSourcePixels: setting.int(
    'MAX_SOURCE_PIXELS',
    [256, 268_435_456],
    33_177_600,
    'Most pixels of a source picture (default: 8K UHD)',
  ),
  ffmpegThreads: setting.int('FFMPEG_THREADS', [1, 64], 1, 'Threads of one encoder'),
  ffmpegSandbox: setting.oneOf(
    'FFMPEG_SANDBOX',
    ['auto', 'strict', 'off'],
    'auto',
    'Sandbox of ffmpeg, ffprobe and the live encoder: as much as works here (auto), all of it or no start (strict), limits only (off)',
  ),
  gopMs: setting.int('GOP_MS', [100, 10_000], 1000, 'Milliseconds between keyframes'),
  renditions: setting.custom(
    'RENDITIONS',
    renditionList,
    `a list of ID:CODEC:WIDTHxHEIGHT:KBITSk with ${codecs}`,
    'vp8:vp8:1280x720:1500k',
    'Encodings made of every segment, unless its avatar says otherwise',
  ),
  uploadTtlSeconds: setting.int(
    'UPLOAD_TTL_SECONDS',
    [10, 31_536_000],
    86_400,
    'Seconds an uploaded segment is kept after it was last played',
  ),
  archiveDir: setting.string(
    'ARCHIVE_DIR',
    '',
    'Folder for copies of uploaded and pushed segments, from which they come back when redis-media has lost them; empty: none',
  ),
  mediaQuotaBytes: setting.int(
    'MEDIA_QUOTA_BYTES',
    [0, 1_099_511_627_776],
    0,
    'Bytes of segments in redis-media beyond which those used least recently go; 0: four fifths of its maxmemory',
  ),
  requestTimeoutMs: setting.int(
    'LOADER_REQUEST_TIMEOUT_MS',
    [100, 86_400_000],
    3_600_000,
    'Milliseconds in which an upload must have arrived; that something keeps arriving is watched for separately',
  ),
  livePushLimit: setting.int('LIVE_PUSHES', [1, 1000], 8, 'Live pushes at once; each has an encoder process'),
  livePushesPerKey: setting.int(
    'LIVE_PUSHES_PER_KEY',
    [1, 1000],
    8,
    'Live pushes of one API key at once; lower than LIVE_PUSHES leaves places for other keys',
  ),
  liveMaxSeconds: setting.int('LIVE_MAX_SECONDS', [1, 3000], 600, 'Longest live push'),
  liveIdleMs: setting.int(
    'LIVE_IDLE_MS',
    [500, 600_000],
    60_000,
    'Milliseconds after which a live push ends that sends nothing, not even that it is alive',
  ),
  liveTrackWaitMs: setting.int(
    'LIVE_TRACK_WAIT_MS',
    [100, 60_000],
    2000,
    'Milliseconds without picture (or sound), while the other track keeps coming, after which a live push is filled up',
  ),
  liveLagLimitMs: setting.int(
    'LIVE_LAG_LIMIT_MS',
    [1000, 600_000],
    10_000,
    'Milliseconds a live push may fall behind real time because it cannot be encoded fast enough',
  ),
  liveMessagesPerSecond: setting.int(
    'LIVE_MESSAGES_PER_SECOND',
    [10, 100_000],
    1000,
    'Messages a live push may send a second, on average over ten',
  ),
  liveTtlSeconds: setting.int(
    'LIVE_TTL_SECONDS',
    [10, 31_536_000],
    3600,
    'Seconds a segment from a live push is kept after it was last played',
  ),
  sessionQueueLimit: signalingSettings.sessionQueueLimit,
  idempotencyTtlSeconds: signalingSettings.idempotencyTtlSeconds,
};
export type LoaderConfig = ConfigOf<typeof loaderSettings>;

export const senderSettings = {
  ...common,
  metricsPort: setting.int('SENDER_METRICS_PORT', [0, 65_535], 9103, 'Port of /metrics, /healthz and /readyz'),
  maxSessions: setting.int('MAX_SESSIONS', [1, 1000], 40, 'Sessions one media-sender hosts at once'),
  viewerGraceMs: signalingSettings.viewerGraceMs,
  sessionGraceMs: setting.int(
    'SESSION_GRACE_MS',
    [0, 3_600_000],
    15_000,
    'Milliseconds a session lives on after its last viewer has left, or was given up',
  ),
  connectTimeoutMs: setting.int(
    'CONNECT_TIMEOUT_MS',
    [1000, 120_000],
    15_000,
    'Milliseconds in which a viewer must connect',
  ),
  viewerSilenceMs: setting.int(
    'VIEWER_SILENCE_MS',
    [2000, 300_000],
    6000,
    'Milliseconds without a sign of life after which a connection of humancast’s own client is closed; the client makes a new one by itself',
  ),
  playerSilenceMs: setting.int(
    'PLAYER_SILENCE_MS',
    [2000, 300_000],
    30_000,
    'The same for WHEP players, which can’t be called back (RFC 7675 §5.1)',
  ),
  heartbeatMs: setting.int(
    'SENDER_HEARTBEAT_MS',
    [50, 10_000],
    250,
    'Milliseconds between signs of life of a media-sender',
  ),
  leaseMs: setting.int(
    'SENDER_LEASE_MS',
    [200, 60_000],
    1000,
    'Milliseconds for which a media-sender that is suspected dead may still come back before its sessions go to others',
  ),
  hostAddresses: setting.list(
    'HOST_ADDRESSES',
    '',
    "Addresses offered as ICE candidates; empty: all of the machine's but loopback",
  ),
  udpPortRange: setting.custom(
    'UDP_PORT_RANGE',
    z
      .string()
      .regex(/^(any|\d+-\d+)$/)
      .transform((v): readonly [number, number] | undefined => {
        const match = /^(\d+)-(\d+)$/.exec(v);
        return match ? [Number(match[1]), Number(match[2])] : undefined;
      })
      .refine((v) => v === undefined || (v[0] >= 1024 && v[1] <= 65_535 && v[0] < v[1])),
    'FROM-TO within 1024–65535, or "any"',
    'any',
    'UDP ports for media',
  ),
  mediaCacheBytes: setting.int(
    'MEDIA_CACHE_BYTES',
    [1_048_576, 17_179_869_184],
    268_435_456,
    'Encoded frames and PCM a media-sender keeps in memory for all its sessions',
  ),
  prefetchMs: setting.int(
    'PREFETCH_MS',
    [200, 60_000],
    2500,
    'Milliseconds of media that are in memory before they are due',
  ),
  liveStartMs: setting.int(
    'LIVE_START_MS',
    [0, 5000],
    60,
    'Milliseconds of a segment that is still being made that must be there before it is played, or played on',
  ),
  opusBitrateBps: setting.int('OPUS_BITRATE_BPS', [6000, 510_000], 32_000, 'Bits per second of the voice'),
  opusComplexity: setting.int(
    'OPUS_COMPLEXITY',
    [0, 10],
    2,
    'Effort of the Opus encoder; most of what a session that speaks costs',
  ),
  crossfadeMs: setting.number(
    'CROSSFADE_MS',
    [0, 20],
    8,
    'Milliseconds over which sound is faded where a cut would click',
  ),
  playheadMs: setting.int('PLAYHEAD_MS', [50, 10_000], 200, 'Milliseconds between saved playheads while it speaks'),
};
export type SenderConfig = ConfigOf<typeof senderSettings>;

/** For documentation and `--help`. */
export const serviceSettings = {
  signaling: signalingSettings,
  'segment-loader': loaderSettings,
  'media-sender': senderSettings,
} as const;
