/**
 * All Redis keys. Keys that belong together share a `{hash tag}`, so that they are in one slot of a Redis Cluster and one
 * script may access all of them.
 */
export const keys = {
  // redis-queue
  session: (id: string) => `hc:{s:${id}}`,
  sessionQueue: (id: string) => `hc:{s:${id}}:queue`,
  sessionViewers: (id: string) => `hc:{s:${id}}:viewers`,
  sessionEvents: (id: string) => `hc:{s:${id}}:events`,
  sessionCommands: (id: string) => `hc:{s:${id}}:commands`,
  sessionViewerEvents: (id: string) => `hc:{s:${id}}:viewer-events`,
  sessionFollowers: (id: string) => `hc:{s:${id}}:followers`,
  sessionPlacements: (id: string) => `hc:{s:${id}}:placements`,
  sessionDecisions: (id: string) => `hc:{s:${id}}:decisions`,
  sessionIndex: 'hc:sessions',
  avatars: 'hc:avatars',
  avatarProblems: 'hc:avatars:problems',
  deletions: 'hc:deletions',
  deletionIntents: 'hc:deletions:open',
  mailbox: (address: string) => `hc:{mb:${address}}`,
  sender: (id: string) => `hc:{snd:${id}}`,
  senderFence: (id: string) => `hc:{snd:${id}}:fence`,
  senderIndex: 'hc:senders',
  uploadCommand: (segment: string) => `hc:{up:${segment}}`,
  // redis-media
  manifest: (segment: string) => `hc:{m:${segment}}:manifest`,
  gop: (segment: string, rendition: string, index: number) => `hc:{m:${segment}}:v:${rendition}:${index}`,
  pcm: (segment: string, index: number) => `hc:{m:${segment}}:a:${index}`,
  live: (segment: string) => `hc:{m:${segment}}:live`,
  forbidden: (segment: string) => `hc:{m:${segment}}:deleted`,
  segmentList: (avatar: string) => `hc:{c:${avatar}}:segments`,
  idlePlaylist: (avatar: string) => `hc:{c:${avatar}}:idle`,
  idleStates: (avatar: string) => `hc:{c:${avatar}}:idle-states`,
} as const;

/** Pub/sub channel to which a media-sender is subscribed while its process lives; nothing is published on it. */
export const senderChannel = (sender: string) => `hc:snd:${sender}`;

/** Pub/sub channel on which a session's new events are announced; the events themselves are in its stream. */
export const eventsChannel = (session: string) => `hc:ev:${session}`;

/** Pub/sub channel on which a session's new decisions are announced; the decisions themselves are in its stream. */
export const decisionsChannel = (session: string) => `hc:dc:${session}`;

/** Pub/sub channel on which the parts of an open segment are announced; the parts themselves are in its stream. */
export const liveChannel = (segment: string) => `hc:lv:${segment}`;

/** Pub/sub channel of redis-media on which the voices of a session's viewers are passed on. */
export const voicesChannel = (session: string) => `hc:mic:${session}`;

/** BullMQ's own keys: one hash tag for all queues, as its scripts require on a cluster. */
export const BULL_PREFIX = '{hc:bull}';
export const SESSIONS_QUEUE = 'sessions';
/** Viewers for whom their session's host has no capacity. */
export const VIEWERS_QUEUE = 'viewers';
export const segmentsQueue = (sender: string) => `segments.${sender}`;
