import { isIP } from 'node:net';
import { type RenditionConfig, renditionConfigSchema } from '@humancast/protocol';
import { z } from 'zod';
import { TrustedProxies } from '../limits/trusted-proxies.js';
import { type ConfigOf, setting } from './define.js';

const redisProtocols = ['redis', 'rediss', 'redis+cluster', 'rediss+cluster'];

const endpoint = z.union([z.literal(''), z.url({ protocol: /^https?$/ })]);
const endpointMustBe = 'a URL starting with http:// or https://, or empty';

/** OpenTelemetry's own variables for the trace exporter; it also reads its others (headers, certificates). */
export const tracingSettings = {
  otlpEndpoint: setting.custom(
    'OTEL_EXPORTER_OTLP_ENDPOINT',
    endpoint,
    endpointMustBe,
    '',
    'Base URL of the OTLP/HTTP collector, e.g. http://jaeger:4318 (/v1/traces is appended); empty: tracing is off',
  ),
  otlpTracesEndpoint: setting.custom(
    'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
    endpoint,
    endpointMustBe,
    '',
    'Full URL of the OTLP/HTTP trace endpoint; overrides OTEL_EXPORTER_OTLP_ENDPOINT',
  ),
  tracesShare: setting.number(
    'OTEL_TRACES_SAMPLER_ARG',
    [0, 1],
    1,
    "Share of new traces that is sampled; a trace started by the caller keeps the caller's decision",
  ),
};

/** Settings shared by all services. */
const common = {
  logLevel: setting.oneOf(
    'LOG_LEVEL',
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace'],
    'info',
    'Lowest level that is logged',
  ),
  redisQueueUrl: setting.url(
    'REDIS_QUEUE_URL',
    redisProtocols,
    'redis://127.0.0.1:6379',
    'Redis for sessions, jobs and mailboxes (noeviction, append-only file); redis+cluster://… names any node of a cluster',
  ),
  redisMediaUrl: setting.url(
    'REDIS_MEDIA_URL',
    redisProtocols,
    'redis://127.0.0.1:6380',
    'Redis for encoded frames and PCM (maxmemory); redis+cluster://… names any node of a cluster',
  ),
  bindAddress: setting.string('BIND_ADDRESS', '0.0.0.0', 'Address that the public port binds to'),
  metricsAddress: setting.string(
    'METRICS_ADDRESS',
    '127.0.0.1',
    'Address that the metrics port binds to; do not publish it',
  ),
  shutdownTimeoutMs: setting.int(
    'SHUTDOWN_TIMEOUT_MS',
    [100, 600_000],
    10_000,
    'Time after SIGTERM before the service exits with work unfinished, in milliseconds',
  ),
  ...tracingSettings,
};

/** Settings of services with a public port. */
const publicPort = {
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
    'Reverse proxies in front of this port whose X-Forwarded-For is trusted',
  ),
  connectionLimit: setting.int(
    'CONNECTION_LIMIT',
    [10, 1_000_000],
    10_000,
    'Concurrent TCP connections to the public port, per process',
  ),
  connectionsPerAddress: setting.int(
    'CONNECTIONS_PER_ADDRESS',
    [1, 1_000_000],
    2500,
    'Concurrent TCP connections per client address, per process; TRUST_PROXY proxies are not counted',
  ),
  headersTimeoutMs: setting.int(
    'HEADERS_TIMEOUT_MS',
    [100, 600_000],
    10_000,
    'Timeout for receiving the headers of a request, in milliseconds',
  ),
  addressRequestsPerMinute: setting.int(
    'ADDRESS_REQUESTS_PER_MINUTE',
    [1, 10_000_000],
    3000,
    'HTTP requests without an API key, per minute and client address, per process',
  ),
  keyRequestsPerSecond: setting.int(
    'KEY_REQUESTS_PER_SECOND',
    [1, 1_000_000],
    500,
    'HTTP requests per second and API key, averaged over 10 s, per process',
  ),
};

/** RFC 7065 §3.1. Browsers throw on an IPv6 address without brackets. */
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
  ...publicPort,
  port: setting.int('SIGNALING_PORT', [0, 65_535], 8080, 'Port of the console, REST, WHEP and WebSocket signaling'),
  metricsPort: setting.int('SIGNALING_METRICS_PORT', [0, 65_535], 9101, 'Port of /metrics'),
  apiKeys: setting.secretList(
    'HUMANCAST_API_KEY',
    'API keys with every scope, comma-separated, in plain text or as sha256:HEX; without any key here or in the file, no producer is admitted',
  ),
  apiKeyFile: setting.string(
    'HUMANCAST_API_KEY_FILE',
    '',
    'File with further API keys, one per line: [NAME:]KEY [SCOPES] [AVATARS] (docs/security.md); # starts a comment; reloaded when it changes',
  ),
  tokenSecret: setting.signingKeys('TOKEN_SECRET', 'Signing keys of session tokens; the first signs, all verify'),
  publicDemo: setting.bool(
    'PUBLIC_DEMO',
    false,
    'Allows pages without a key to create a session and speak in it; ignored unless PUBLISH_ADDRESS (or BIND_ADDRESS) is loopback',
  ),
  publicDemoPublished: setting.bool(
    'PUBLIC_DEMO_PUBLISHED',
    false,
    'Allows PUBLIC_DEMO on an address that other machines can reach',
  ),
  publishAddress: setting.string(
    'PUBLISH_ADDRESS',
    '',
    'Address on which the public port is published, if it differs from BIND_ADDRESS (containers)',
  ),
  demoSessionsPerAddress: setting.int(
    'DEMO_SESSIONS_PER_ADDRESS',
    [1, 10_000],
    10,
    'Concurrent demo sessions per client address, per process',
  ),
  demoJoinTimeoutSeconds: setting.int(
    'DEMO_JOIN_TIMEOUT_SECONDS',
    [5, 86_400],
    30,
    'Time after which a demo session without a viewer ends, in seconds',
  ),
  demoMaxSeconds: setting.int(
    'DEMO_MAX_SECONDS',
    [10, 604_800],
    1800,
    'Maximum duration of a demo session, in seconds',
  ),
  demoSessionLimit: setting.int('DEMO_SESSION_LIMIT', [1, 10_000], 50, 'Concurrent demo sessions'),
  sessionTokenTtlSeconds: setting.int(
    'SESSION_TOKEN_TTL_SECONDS',
    [10, 86_400],
    3600,
    'Lifetime of a session token, in seconds',
  ),
  sessionLimit: setting.int('SESSION_LIMIT', [1, 100_000], 2000, 'Concurrent sessions, over all media-senders'),
  sessionJoinTimeoutSeconds: setting.int(
    'SESSION_JOIN_TIMEOUT_SECONDS',
    [5, 86_400],
    300,
    'Time after which a session that no viewer joined ends, in seconds',
  ),
  idempotencyTtlSeconds: setting.int(
    'IDEMPOTENCY_TTL_SECONDS',
    [10, 86_400],
    3600,
    'Time for which an Idempotency-Key is remembered, in seconds',
  ),
  sessionQueueLimit: setting.int('SESSION_QUEUE_LIMIT', [1, 1000], 500, 'Queued segments per session'),
  viewerLimit: setting.int('VIEWERS_PER_SESSION', [1, 100_000], 1000, 'Viewers per session'),
  viewerGraceMs: setting.int(
    'VIEWER_GRACE_MS',
    [0, 3_600_000],
    90_000,
    'Time for which a disconnected viewer (a locked phone, a tunnel) can resume, in milliseconds',
  ),
  turnUrls: setting.custom(
    'TURN_URLS',
    turnUriList,
    turnUrisMustBe,
    '',
    'TURN servers given to viewers, e.g. turn:host:3478?transport=udp; empty: viewers connect directly',
  ),
  turnLocalUrls: setting.custom(
    'TURN_LOCAL_URLS',
    turnUriList,
    turnUrisMustBe,
    '',
    'Further addresses of the same TURN server, given out only while all TURN_URLS are loopback addresses, which Firefox rejects',
  ),
  turnSecret: setting.secret(
    'TURN_SECRET',
    'Secret shared with coturn (static-auth-secret); required if TURN_URLS is set',
    true,
  ),
  turnTtlSeconds: setting.int(
    'TURN_TTL_SECONDS',
    [5, 86_400],
    3600,
    'Lifetime of a TURN credential, in seconds; each offer renews it',
  ),
  turnUsersPerHour: setting.int(
    'TURN_USERS_PER_HOUR',
    [1, 1_000_000],
    600,
    "TURN users created per hour for one client address and for one session's token (there at least VIEWERS_PER_SESSION), per process; each viewer needs one",
  ),
  turnUsersPerKeyPerHour: setting.int(
    'TURN_USERS_PER_KEY_PER_HOUR',
    [1, 10_000_000],
    36_000,
    'TURN users created per hour for one API key, per process',
  ),
  relayOnly: setting.bool('RELAY_ONLY', true, 'Restricts viewers to the relay if TURN_URLS is set'),
  allowedOrigins: setting.list(
    'ALLOWED_ORIGINS',
    '',
    'Additional web origins that may use REST and the WebSocket; * allows all',
  ),
  embedAncestors: setting.custom(
    'EMBED_ANCESTORS',
    z
      .string()
      .transform((text) => text.split(',').map((origin) => origin.trim()))
      .pipe(z.array(z.string().regex(/^$|^\*$|^https?:\/\/[\w.*:[\]-]+$/)))
      .transform((origins) => origins.filter((origin) => origin !== '')),
    'a list of origins (https://example.com, https://*.example.com) or *',
    '',
    'Web origins whose pages may show /embed in a frame; * allows all, empty none',
  ),
  heartbeatMs: setting.int(
    'SIGNAL_HEARTBEAT_MS',
    [1000, 120_000],
    10_000,
    'Interval between pings, in milliseconds; a peer that misses two is disconnected',
  ),
  messageLimitBytes: setting.int(
    'SIGNAL_MESSAGE_LIMIT_BYTES',
    [1024, 1_048_576],
    65_536,
    'Maximum size of a signaling message, in bytes',
  ),
  messagesPerSecond: setting.int(
    'SIGNAL_MESSAGES_PER_SECOND',
    [1, 10_000],
    50,
    'Signaling messages per second and connection, averaged over 10 s',
  ),
  connectsPerMinute: setting.int(
    'CONNECTS_PER_MINUTE',
    [1, 1_000_000],
    600,
    'New WebSocket connections, demo sessions and WHEP requests, per minute and client address, per process',
  ),
  signalConnectionsPerAddress: setting.int(
    'SIGNAL_CONNECTIONS_PER_ADDRESS',
    [1, 1_000_000],
    1000,
    'Concurrent signaling WebSockets per client address, per process',
  ),
  requestTimeoutMs: setting.int(
    'SIGNALING_REQUEST_TIMEOUT_MS',
    [100, 600_000],
    30_000,
    'Timeout for receiving a whole request, in milliseconds',
  ),
  sessionRequestsPerSecond: setting.int(
    'SESSION_REQUESTS_PER_SECOND',
    [1, 1_000_000],
    20,
    "HTTP requests per second with one session's tokens, averaged over 10 s, per process",
  ),
  interruptsPerMinute: setting.int(
    'INTERRUPTS_PER_MINUTE',
    [1, 1_000_000],
    120,
    'Interrupts per minute by the viewers of one session, per process',
  ),
  listenersPerSession: setting.int(
    'LISTENERS_PER_SESSION',
    [1, 1000],
    4,
    "Producers that may hear one session's viewers at the same time, per process",
  ),
  messagesPerMinute: setting.int(
    'MESSAGES_PER_MINUTE',
    [1, 1_000_000],
    300,
    'Messages per minute to producers by the viewers of one session, per process',
  ),
  eventStreamLimit: setting.int(
    'EVENT_STREAM_LIMIT',
    [1, 1_000_000],
    5000,
    'Concurrent event streams (server-sent events), per process',
  ),
  eventStreamsPerSession: setting.int(
    'EVENT_STREAMS_PER_SESSION',
    [1, 1_000_000],
    100,
    'Concurrent event streams per session, per process',
  ),
  eventStreamsPerKey: setting.int(
    'EVENT_STREAMS_PER_KEY',
    [1, 1_000_000],
    2500,
    'Concurrent event streams per API key, per process',
  ),
  eventStreamsPerAddress: setting.int(
    'EVENT_STREAMS_PER_ADDRESS',
    [1, 1_000_000],
    200,
    'Concurrent event streams opened with session tokens, per client address and process',
  ),
  consoleDir: setting.string('CONSOLE_DIR', '', "Folder of the built console; empty: the repository's own"),
  sayUrl: setting.custom(
    'SAY_URL',
    endpoint,
    endpointMustBe,
    '',
    'URL of the demo producer, which speaks typed text; empty: none',
  ),
  sayKey: setting.secret(
    'SAY_KEY',
    'API key given to the demo producer; empty: the first plain-text key of HUMANCAST_API_KEY',
    true,
  ),
  sayAvatars: setting.list('SAY_AVATARS', 'demo', 'Avatars that the demo producer renders'),
};
export type SignalingConfig = ConfigOf<typeof signalingSettings>;

export const loaderSettings = {
  ...common,
  ...publicPort,
  port: setting.int('LOADER_PORT', [0, 65_535], 8081, 'Port of the producer REST API and live push'),
  metricsPort: setting.int('LOADER_METRICS_PORT', [0, 65_535], 9102, 'Port of /metrics'),
  apiKeys: signalingSettings.apiKeys,
  apiKeyFile: signalingSettings.apiKeyFile,
  mediaDir: setting.string(
    'MEDIA_DIR',
    'media',
    'Watched folder with <avatar>/idle/, <avatar>/segments/ and, for compositions, <avatar>/layers/',
  ),
  scratchDir: setting.string(
    'SCRATCH_DIR',
    '',
    "Folder for uploads in progress and copies of media; empty: the system's temporary folder",
  ),
  settleMs: setting.int(
    'WATCH_SETTLE_MS',
    [50, 60_000],
    1000,
    'Time for which a file must not have grown before it is loaded, in milliseconds',
  ),
  rescanMs: setting.int(
    'WATCH_RESCAN_MS',
    [500, 600_000],
    5000,
    'Interval between full scans of the folder and the media store, in milliseconds',
  ),
  loadConcurrency: setting.int('LOAD_CONCURRENCY', [1, 64], 1, 'Files encoded concurrently'),
  loadQueueLimit: setting.int('LOAD_QUEUE_LIMIT', [1, 100_000], 64, 'Uploads queued for encoding'),
  uploadsPerKey: setting.int(
    'UPLOADS_PER_KEY',
    [1, 100_000],
    48,
    'Uploads per API key that are being received, queued or encoded',
  ),
  uploadLimitBytes: setting.int(
    'UPLOAD_LIMIT_BYTES',
    [1024, 17_179_869_184],
    536_870_912,
    'Maximum size of an upload, in bytes',
  ),
  maxDurationSeconds: setting.int('MAX_DURATION_SECONDS', [1, 86_400], 3600, 'Maximum duration of a file, in seconds'),
  maxSourcePixels: setting.int(
    'MAX_SOURCE_PIXELS',
    [256, 268_435_456],
    33_177_600,
    'Maximum number of pixels of a source frame (default: 8K UHD)',
  ),
  ffmpegThreads: setting.int('FFMPEG_THREADS', [1, 64], 1, 'Threads per encoder'),
  ffmpegSandbox: setting.oneOf(
    'FFMPEG_SANDBOX',
    ['auto', 'strict', 'off'],
    'auto',
    'Sandbox of ffmpeg, ffprobe and the live encoder: all that the kernel supports (auto), complete or the service does not start (strict), resource limits only (off)',
  ),
  gopMs: setting.int('GOP_MS', [100, 10_000], 1000, 'Interval between keyframes, in milliseconds'),
  renditions: setting.custom(
    'RENDITIONS',
    renditionList,
    `a list of ID:CODEC:WIDTHxHEIGHT:KBITSk with ${codecs}`,
    'vp8:vp8:1280x720:1500k,vp8-360:vp8:640x360:500k,vp8-180:vp8:320x180:150k',
    'Renditions of every segment, unless its avatar configures its own',
  ),
  uploadTtlSeconds: setting.int(
    'UPLOAD_TTL_SECONDS',
    [10, 31_536_000],
    86_400,
    'Time for which an uploaded segment is kept after its last use, in seconds',
  ),
  archiveDir: setting.string(
    'ARCHIVE_DIR',
    '',
    'Folder for encoded copies of uploaded and pushed segments, restored when redis-media loses them; empty: no archive',
  ),
  mediaQuotaBytes: setting.int(
    'MEDIA_QUOTA_BYTES',
    [0, 1_099_511_627_776],
    0,
    'Size of all segments in redis-media above which the least recently used are evicted, in bytes; 0: 80 % of its maxmemory',
  ),
  requestTimeoutMs: setting.int(
    'LOADER_REQUEST_TIMEOUT_MS',
    [100, 86_400_000],
    3_600_000,
    'Timeout for receiving a whole upload, in milliseconds; a stalled upload is aborted earlier',
  ),
  livePushLimit: setting.int('LIVE_PUSHES', [1, 1000], 8, 'Concurrent live pushes; each has an encoder process'),
  livePushesPerKey: setting.int(
    'LIVE_PUSHES_PER_KEY',
    [1, 1000],
    8,
    'Concurrent live pushes per API key; a value below LIVE_PUSHES reserves capacity for other keys',
  ),
  liveMaxSeconds: setting.int('LIVE_MAX_SECONDS', [1, 3000], 600, 'Maximum duration of a live push, in seconds'),
  liveIdleMinutes: setting.number(
    'LIVE_IDLE_MINUTES',
    [0.01, 1440],
    10,
    'Time without any message, including `alive`, after which a live push ends, in minutes; a lost connection ends it sooner',
  ),
  liveTrackWaitMs: setting.int(
    'LIVE_TRACK_WAIT_MS',
    [100, 60_000],
    2000,
    'Time without video (or audio) while the other track continues, after which the gap is filled, in milliseconds',
  ),
  liveLagLimitMs: setting.int(
    'LIVE_LAG_LIMIT_MS',
    [1000, 600_000],
    10_000,
    'Maximum lag of a live push behind real time if encoding is too slow, in milliseconds',
  ),
  liveMessagesPerSecond: setting.int(
    'LIVE_MESSAGES_PER_SECOND',
    [10, 100_000],
    1000,
    'Messages per second and live push, averaged over 10 s',
  ),
  liveTtlSeconds: setting.int(
    'LIVE_TTL_SECONDS',
    [10, 31_536_000],
    3600,
    'Time for which a live-pushed segment is kept after its last use, in seconds',
  ),
  sessionQueueLimit: signalingSettings.sessionQueueLimit,
  idempotencyTtlSeconds: signalingSettings.idempotencyTtlSeconds,
};
export type LoaderConfig = ConfigOf<typeof loaderSettings>;

export const senderSettings = {
  ...common,
  metricsPort: setting.int('SENDER_METRICS_PORT', [0, 65_535], 9103, 'Port of /metrics, /healthz and /readyz'),
  maxSessions: setting.int('MAX_SESSIONS', [1, 1000], 40, 'Concurrent sessions per media-sender'),
  maxViewers: setting.int('MAX_VIEWERS', [1, 100_000], 500, 'Concurrent viewers per media-sender, of all sessions'),
  hostViewers: setting.int(
    'HOST_VIEWERS',
    [1, 100_000],
    20,
    'Viewers of a session that its host serves itself; further ones are served by the media-senders that have the most capacity',
  ),
  viewerGraceMs: signalingSettings.viewerGraceMs,
  sessionGraceMs: setting.int(
    'SESSION_GRACE_MS',
    [0, 3_600_000],
    15_000,
    'Time for which a session continues after its last viewer left or was removed, in milliseconds',
  ),
  connectTimeoutMs: setting.int(
    'CONNECT_TIMEOUT_MS',
    [1000, 120_000],
    15_000,
    'Timeout for a viewer to connect, in milliseconds',
  ),
  viewerSilenceMs: setting.int(
    'VIEWER_SILENCE_MS',
    [2000, 300_000],
    15_000,
    "Time without STUN or RTCP after which a connection of humancast's own client is closed, in milliseconds; until then it can continue after an outage",
  ),
  playerSilenceMs: setting.int(
    'PLAYER_SILENCE_MS',
    [2000, 300_000],
    30_000,
    'Time without STUN or RTCP after which a connection of a WHEP player, which does not reconnect, is closed (RFC 7675 §5.1), in milliseconds',
  ),
  heartbeatMs: setting.int(
    'SENDER_HEARTBEAT_MS',
    [50, 10_000],
    250,
    'Interval between heartbeats of a media-sender, in milliseconds',
  ),
  leaseMs: setting.int(
    'SENDER_LEASE_MS',
    [200, 60_000],
    1000,
    'Time for which a media-sender suspected dead may still recover before its sessions are reassigned, in milliseconds',
  ),
  hostAddresses: setting.list(
    'HOST_ADDRESSES',
    '',
    "Addresses offered as ICE candidates; empty: all of the machine's, except loopback",
  ),
  announcedAddresses: setting.custom(
    'ANNOUNCED_ADDRESSES',
    z
      .string()
      .transform((v) => v.split(',').flatMap((address) => address.trim() || []))
      .refine((addresses) => addresses.every((address) => isIP(address) > 0)),
    'a comma-separated list of IP addresses',
    '',
    'Public addresses offered as additional ICE candidates, where a NAT forwards the UDP port unchanged',
  ),
  udpPortRange: setting.custom(
    'UDP_PORT_RANGE',
    z
      .string()
      .regex(/^(any|\d+(-\d+)?)$/)
      .transform((v): readonly [number, number] | undefined => {
        const [low, high = low] = v === 'any' ? [] : v.split('-').map(Number);
        return low === undefined || high === undefined ? undefined : [low, high];
      })
      .refine((v) => v === undefined || (v[0] >= 1024 && v[1] <= 65_535 && v[0] <= v[1])),
    'PORT or FROM-TO within 1024–65535, or "any"',
    'any',
    'UDP port for media, shared by all viewers; of a range, each media-sender takes the first free one',
  ),
  udpBufferBytes: setting.int(
    'UDP_BUFFER_BYTES',
    [65_536, 67_108_864],
    4_194_304,
    'Send buffer and receive buffer of the UDP socket, in bytes; Linux grants at most net.core.wmem_max and net.core.rmem_max',
  ),
  packetPath: setting.oneOf(
    'PACKET_PATH',
    ['auto', 'native', 'javascript'],
    'auto',
    'How packets are encrypted and sent: native calls OpenSSL and the kernel directly, which needs node:ffi and Linux on x64 or arm64; auto uses native where available',
  ),
  realtimePriority: setting.int(
    'REALTIME_PRIORITY',
    [0, 99],
    1,
    'Real-time priority of the thread that sends, so that packets leave on time on a busy machine; 0 for none; needs RLIMIT_RTPRIO or CAP_SYS_NICE, and is left out with a log line where that is missing',
  ),
  mediaCacheBytes: setting.int(
    'MEDIA_CACHE_BYTES',
    [1_048_576, 17_179_869_184],
    268_435_456,
    'Memory cache of encoded frames and PCM, shared by all sessions, in bytes',
  ),
  prefetchMs: setting.int(
    'PREFETCH_MS',
    [200, 60_000],
    2500,
    'Duration of media loaded into memory ahead of playout, in milliseconds',
  ),
  liveStartMs: setting.int(
    'LIVE_START_MS',
    [0, 5000],
    60,
    'Media of an open segment that must be buffered before playout starts, or resumes after a pause, in milliseconds; it doubles with each underrun of a producer that is slower than real time',
  ),
  liveReserveMs: setting.int(
    'LIVE_RESERVE_MS',
    [0, 30_000],
    2000,
    'Maximum media of an open segment that must be buffered before playout resumes after an underrun, in milliseconds',
  ),
  livePauseMs: setting.int(
    'LIVE_PAUSE_MS',
    [100, 60_000],
    700,
    'Time without media after which a segment pauses and idle is shown, in milliseconds',
  ),
  voiceHangoverMs: setting.int(
    'VOICE_HANGOVER_MS',
    [100, 5000],
    500,
    'Silence after which a viewer has finished speaking, in milliseconds',
  ),
  bargeInsPerMinute: setting.int(
    'BARGE_INS_PER_MINUTE',
    [1, 6000],
    12,
    "Interruptions of a session's speech by one viewer's voice, per minute; all its viewers together have three times as many",
  ),
  opusBitrateBps: setting.int('OPUS_BITRATE_BPS', [6000, 510_000], 32_000, 'Opus bitrate, in bits per second'),
  opusMode: setting.oneOf(
    'OPUS_MODE',
    ['celt', 'silk'],
    'celt',
    'Coding mode of Opus: silk takes five times the CPU time, sounds better below 20 kb/s and has in-band FEC',
  ),
  opusComplexity: setting.int(
    'OPUS_COMPLEXITY',
    [0, 10],
    0,
    "Complexity of the Opus encoder; the largest part of a speaking session's CPU time",
  ),
  crossfadeMs: setting.number('CROSSFADE_MS', [0, 20], 8, 'Length of the audio fade at a cut, in milliseconds'),
  playheadMs: setting.int(
    'PLAYHEAD_MS',
    [50, 10_000],
    200,
    'Interval between saved playheads while speaking, in milliseconds',
  ),
};
export type SenderConfig = ConfigOf<typeof senderSettings>;

/** Settings by service, for the documentation and `--help`. */
export const serviceSettings = {
  signaling: signalingSettings,
  'segment-loader': loaderSettings,
  'media-sender': senderSettings,
} as const;
