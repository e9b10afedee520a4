import { z } from 'zod';
import { avatarDefinitionSchema, LOUDNESS_LUFS } from './avatar.js';
import { idSchema, slugSchema } from './ids.js';
import { messageDataSchema } from './message.js';
import {
  missingRenditionSchema,
  renditionSchema,
  segmentRoleSchema,
  segmentSourceSchema,
  segmentStateSchema,
} from './segment.js';
import { iceServerSchema, reportSchema, TOKEN_MAX_LENGTH } from './signal.js';
import { textCueSchema } from './text.js';

// Request bodies are strict: an unknown member is a typing error. Readers of answers ignore members of later versions.

const milliseconds = (text: string) => z.number().describe(`${text}, ms`);
const timestampMs = (text: string) => z.number().describe(`${text}, ms since the Unix epoch`);
const isoTime = (text: string) => z.iso.datetime().describe(text);
const segmentId = z.string().describe('Id of the segment');
/** Default 0: written by a server without turns. */
const turnOfAnswer = z.int().min(0).default(0).describe('Turn of the session: the number of interruptions so far');
const turnOfRequest = (what: string) =>
  z
    .int()
    .min(0)
    .optional()
    .describe(`Turn ${what}: if the session has been interrupted since, the answer is \`interrupted\``);
/** `turn` in a query. */
export const turnQuerySchema = z.coerce.number().int().min(0).optional();

/** The idle state that shows the clips of `idle/`. */
export const IDLE_STATE = 'idle';

// ——— sessions ———

/** How a session treats its own voice while a viewer speaks. */
export const bargeInSchema = z.enum(['off', 'duck', 'stop']);
export type BargeIn = z.infer<typeof bargeInSchema>;

export const createSessionSchema = z.strictObject({
  avatar: slugSchema.describe('Id of the avatar to show'),
  wait: z
    .boolean()
    .default(true)
    .describe('Whether to accept the session while every media-sender is full; viewers are told their position then'),
  microphone: z
    .boolean()
    .default(false)
    .describe('Whether viewers with the `microphoneToken` of the answer may speak to the avatar'),
  bargeIn: bargeInSchema
    .default('off')
    .describe('While a viewer speaks, the avatar speaks on (`off`), more quietly (`duck`), or is interrupted (`stop`)'),
});

export const tokenScopeSchema = z.enum(['view', 'control']);

export const newSessionSchema = z.object({
  id: z.string().describe('Id of the session'),
  avatar: z.string(),
  token: z.string().describe('Token for viewers of this session, a JWT'),
  scope: tokenScopeSchema.describe(
    'What the token allows: `view` watches and interrupts, `control` also speaks and ends',
  ),
  microphoneToken: z
    .string()
    .optional()
    .describe('Like `token`, for viewers that may also speak; missing unless `microphone` was requested'),
  expiresAt: isoTime('When the tokens expire'),
  signalUrl: z.string().describe('Path of the signaling WebSocket'),
  iceServers: z.array(iceServerSchema).describe('TURN servers for a viewer that connects now'),
  relayOnly: z.boolean().describe("Whether to use `iceTransportPolicy: 'relay'`"),
  turn: turnOfAnswer,
});
export type NewSession = z.infer<typeof newSessionSchema>;

export const sessionStateSchema = z.enum(['new', 'queued', 'hosted', 'ended']);
export type SessionState = z.infer<typeof sessionStateSchema>;

export const sessionSummarySchema = z.object({
  id: z.string(),
  avatar: z.string(),
  state: sessionStateSchema.describe('`new`: nobody has joined; `queued`: waiting for a media-sender'),
  host: z.string().optional().describe('Id of the media-sender; missing unless `hosted`, and for session tokens'),
  epoch: z.int().describe('Incremented with each change of the host; 0: never hosted'),
  createdAtMs: timestampMs('When the session was created'),
  demo: z.boolean().describe('Whether a visitor without an API key created it'),
  owner: z.string().optional().describe('Name of the API key that created it; missing for session tokens'),
});
export type SessionSummary = z.infer<typeof sessionSummarySchema>;

export const sessionListSchema = z.object({ sessions: z.array(sessionSummarySchema) });

export const queuedSegmentSchema = z.object({
  seq: z.int().min(1).describe('Sequence number in the queue of the session'),
  segment: idSchema.describe('Id of the segment'),
});
export type QueuedSegment = z.infer<typeof queuedSegmentSchema>;

export const sendingSchema = z.object({
  rung: z.int().min(0).describe('Index of the sent rendition in the ladder of its codec; 0 is the largest'),
  rungs: z.int().min(1).describe('Number of renditions in that ladder'),
  estimateBps: z.number().describe("Estimated bandwidth of the viewer's path, bits per second"),
});

export const viewerStateSchema = z.object({
  viewer: z.string().describe('Id of the viewer'),
  attempt: z.int().describe('Number of connections that the viewer has requested'),
  joinedAtMs: timestampMs('When the viewer joined'),
  whep: z.boolean().describe('Whether the viewer uses WHEP'),
  sending: sendingSchema
    .optional()
    .describe('Rendition that is sent to the viewer; missing unless `live` and connected'),
  report: z
    .object({ ...reportSchema.shape, atMs: timestampMs('When the report arrived') })
    .optional()
    .describe('Last report of the viewer; missing unless `live`, and for WHEP viewers'),
});
export type ViewerState = z.infer<typeof viewerStateSchema>;

export const sessionDetailsSchema = sessionSummarySchema.extend({
  endReason: z.string().optional().describe('Why the session ended'),
  viewerCount: z.int(),
  viewers: z.array(viewerStateSchema).describe('Up to 500 of the viewers; empty for session tokens'),
  queue: z.array(queuedSegmentSchema).describe('Segments that are playing or queued'),
  interruptedSeq: z.int().describe('Everything queued up to and including this sequence number was interrupted'),
  turn: turnOfAnswer,
  idleState: z.string().default(IDLE_STATE).describe('Idle state that the producer has set'),
  bargeIn: bargeInSchema.catch('off').describe('What the avatar does while a viewer speaks'),
  live: z.boolean().describe('Whether the host has just answered; otherwise the playhead is the last saved one'),
  playhead: z
    .object({
      segment: segmentId,
      role: segmentRoleSchema,
      positionMs: milliseconds('Position in the segment'),
      frame: z.int().optional().describe('Frame of the segment; missing unless `live`'),
      atMs: timestampMs('When the position was saved; missing if `live`').optional(),
    })
    .optional()
    .describe('Current playback position'),
  nextCut: z
    .object({
      segment: segmentId,
      frame: z.int().describe('Frame of the idle clip'),
      inMs: milliseconds('Time until then'),
    })
    .optional()
    .describe('Position of the idle clip at which speech queued now would start'),
  held: z.boolean().optional().describe('Whether both tracks are held because media is late; missing unless `live`'),
  underruns: z.int().optional().describe('Number of times that both tracks were held; missing unless `live`'),
  prefetchedMs: milliseconds('Media prefetched ahead of the playhead; missing unless `live`').optional(),
  canSay: z.boolean().describe('Whether `say` is available for the avatar'),
});
export type SessionDetails = z.infer<typeof sessionDetailsSchema>;

export const speakSchema = z.strictObject({
  segments: z.array(idSchema).min(1).max(100).describe('Ids of the segments, in order; either all are queued or none'),
  interrupt: z.boolean().default(false).describe('Whether they replace everything that is queued or playing'),
  turn: turnOfRequest('for which the segments were made'),
});

export const spokenSchema = z.object({ queued: z.array(queuedSegmentSchema), turn: turnOfAnswer });
export type Spoken = z.infer<typeof spokenSchema>;

export const interruptSchema = z.strictObject({ turn: turnOfRequest('to interrupt') });

export const interruptedSchema = z.object({
  interruptedSeq: z.int().describe('Everything queued up to and including this sequence number was interrupted'),
  turn: turnOfAnswer,
});
export type Interrupted = z.infer<typeof interruptedSchema>;

export const idleStateSchema = z.strictObject({
  state: slugSchema.describe('Idle state to show; without clips of its own, as `idle`, the clips of `idle/` are shown'),
  turn: turnOfRequest('to which the state belongs'),
});

export const shownStateSchema = z.object({
  state: z.string().describe('Idle state of the session'),
  turn: turnOfAnswer,
});
export type ShownState = z.infer<typeof shownStateSchema>;

export const messageSchema = z.strictObject({
  data: messageDataSchema.describe('Any JSON value, at most 2048 bytes'),
  viewer: idSchema.optional().describe('Viewer that gets it; default: all'),
});

export const sentMessageSchema = z.object({ sent: z.literal(true) });

export const saySchema = z.strictObject({
  text: z.string().min(1).max(10_000).describe('Text to say'),
  interrupt: z.boolean().default(false).describe('Whether it replaces everything that is queued or playing'),
  turn: turnOfRequest('that the text answers; default: the current one'),
});
export type Say = z.infer<typeof saySchema>;

export const saidSchema = z.object({
  segment: z
    .string()
    .optional()
    .describe('Id of the segment made from the text; missing while earlier texts are waiting'),
  ahead: z.int().describe('Number of texts waiting before this one'),
  turn: turnOfAnswer,
});
export type Said = z.infer<typeof saidSchema>;

export const eventsQuerySchema = z.object({
  token: z
    .string()
    .max(TOKEN_MAX_LENGTH)
    .optional()
    .describe('Session token, for an `EventSource`, which cannot send headers'),
  from: z.enum(['start', 'now']).default('now').describe('Whether to send past events first'),
});

export const posterQuerySchema = z.object({
  token: z
    .string()
    .max(TOKEN_MAX_LENGTH)
    .optional()
    .describe('Session token, for an `<img>`, which cannot send headers'),
});

export const sessionSegmentSchema = z.object({
  id: segmentId,
  avatar: z.string(),
  name: z.string().describe('Name for humans'),
  role: segmentRoleSchema,
  source: segmentSourceSchema,
  state: segmentStateSchema,
  createdAtMs: timestampMs('When the segment was created'),
  durationMs: milliseconds('Length'),
});
export type SessionSegment = z.infer<typeof sessionSegmentSchema>;

export const sessionSegmentListSchema = z.object({ segments: z.array(sessionSegmentSchema) });

// ——— the stack, for operators and viewers ———

/** An entry of the watched folder that cannot be used. */
export const folderProblemSchema = z.object({
  file: z.string().describe("Path within the avatar's folder, or within the media folder if it belongs to no avatar"),
  code: z.string().describe('Error code'),
  message: z.string().describe('Explanation for humans'),
});
export type FolderProblem = z.infer<typeof folderProblemSchema>;

export const avatarOverviewSchema = z.object({
  id: z.string(),
  name: z.string().describe('Name for humans'),
  problemCount: z
    .int()
    .optional()
    .describe('Number of entries of its folder that cannot be used; missing without an API key'),
  problems: z.array(folderProblemSchema).optional().describe('The first of these entries; missing without an API key'),
});

export const avatarOverviewListSchema = z.object({
  avatars: z.array(avatarOverviewSchema),
  problems: z
    .array(folderProblemSchema)
    .optional()
    .describe('Entries of the media folder that belong to no avatar; missing if the API key is limited to avatars'),
});
export type AvatarOverviewList = z.infer<typeof avatarOverviewListSchema>;

export const senderSchema = z.object({
  id: z.string().describe('Id of the media-sender'),
  hostname: z.string(),
  sessions: z.int().describe('Number of hosted sessions'),
  capacity: z.int().describe('Maximum number of hosted sessions'),
  viewers: z.int(),
  viewerCapacity: z.int().describe('Maximum number of viewers; 0: unknown'),
  draining: z.boolean().describe('Whether it hands its sessions over and accepts no new ones'),
  accepting: z.boolean().describe('Whether its load permits another session'),
  startedAtMs: timestampMs('When it started'),
});
export type Sender = z.infer<typeof senderSchema>;

export const senderListSchema = z.object({ senders: z.array(senderSchema) });
export const drainingSchema = z.object({ id: z.string(), draining: z.literal(true) });

export const healthSchema = z.object({ status: z.literal('ok') });
export const readinessSchema = healthSchema.extend({
  without: z.string().optional().describe('Unavailable dependency without which the service offers less'),
});

// ——— WHEP ———

export const whepQuerySchema = z.object({
  session: idSchema
    .optional()
    .describe('Session to watch; by default a new one is created, which ends with the player'),
});

// ——— segments and avatars ———

const booleanText = z.enum(['true', 'false']);

export const uploadQuerySchema = z.object({
  avatar: slugSchema.describe('Id of the avatar'),
  name: z.string().min(1).max(255).optional().describe('Name for humans; default: that of the file'),
  pinned: booleanText.default('false').describe('Whether the segment is kept until it is deleted'),
  loudness: z
    .union([z.literal('off'), z.coerce.number().min(LOUDNESS_LUFS.min).max(LOUDNESS_LUFS.max)])
    .optional()
    .describe('Target loudness, LUFS, or `off`; default: that of the avatar'),
  wait: booleanText
    .default('true')
    .describe('Whether to answer when the segment can be played, or as soon as it is received'),
});

export const segmentListQuerySchema = z.object({
  avatar: slugSchema.optional().describe('Id of the avatar; default: all that the API key may use'),
  q: z.string().max(255).optional().describe('Part of the name, case-insensitive'),
});

export const changeSegmentSchema = z.strictObject({
  pinned: z.boolean().describe('Whether the segment is kept until it is deleted'),
});

const failureSchema = z
  .looseObject({ code: z.string().describe('Error code'), message: z.string().describe('Explanation for humans') })
  .describe('Why the segment failed');

/** Members that all representations of segments have. */
const knownSegmentSchema = z.object({
  id: segmentId,
  avatar: z.string(),
  name: z.string().describe('Name for humans'),
  role: segmentRoleSchema,
  source: segmentSourceSchema,
  state: segmentStateSchema,
});

export const segmentListEntrySchema = knownSegmentSchema.extend({
  createdAt: isoTime('When the segment was created'),
  durationMs: milliseconds('Length'),
});
export type SegmentListEntry = z.infer<typeof segmentListEntrySchema>;

export const segmentListSchema = z.object({ segments: z.array(segmentListEntrySchema) });

/** A segment that is waiting to be loaded, is being loaded, or failed to load. */
export const loadingSegmentSchema = knownSegmentSchema.extend({
  progress: z.number().min(0).max(1),
  createdAt: isoTime('When the upload was received; missing for files of the watched folder').optional(),
  failure: failureSchema.optional(),
});
export type LoadingSegment = z.infer<typeof loadingSegmentSchema>;

export const segmentSchema = loadingSegmentSchema.extend({
  pinned: z.boolean().optional().describe('Whether the segment is kept until it is deleted'),
  durationMs: milliseconds('Length; missing, like the following members, while the segment is being loaded').optional(),
  frames: z.int().optional().describe('Video frames'),
  fps: z.string().optional().describe('Frame rate: `30` or `30000/1001`'),
  gopFrames: z.int().optional().describe('Frames per GOP'),
  pcmSamples: z.int().optional().describe('Audio samples at 24 kHz'),
  renditions: z.array(renditionSchema).optional().describe('Renditions that can be sent'),
  text: z.array(textCueSchema).optional().describe('What is said, in order'),
  missingRenditions: z
    .array(missingRenditionSchema)
    .optional()
    .describe('Renditions that are still being encoded or have failed; the segment is played without them'),
});
export type Segment = z.infer<typeof segmentSchema>;

/** The answer to an upload with `wait=false`; once it is loaded, a repeated request returns the whole segment. */
export const acceptedUploadSchema = z.object({
  id: segmentId,
  avatar: z.string(),
  state: segmentStateSchema,
  progress: z.number().min(0).max(1),
});
export type AcceptedUpload = z.infer<typeof acceptedUploadSchema>;

export const avatarSummarySchema = z.object({
  ...avatarDefinitionSchema.shape,
  id: z.string(),
  name: z.string().describe('Name for humans; by default the id'),
  idle: z.int().describe('Number of idle clips'),
  segments: z.int().describe('Number of speech segments'),
  problemCount: z.int().describe('Number of files of its folder that cannot be used'),
});
export type AvatarSummary = z.infer<typeof avatarSummarySchema>;

export const avatarListSchema = z.object({
  avatars: z.array(avatarSummarySchema),
  problems: z
    .array(folderProblemSchema)
    .optional()
    .describe('Entries of the media folder that belong to no avatar; missing if the API key is limited to avatars'),
});
export type AvatarList = z.infer<typeof avatarListSchema>;

export const avatarDetailsSchema = avatarSummarySchema.extend({
  idlePlaylist: z.array(z.string()).describe('Ids of the idle clips in playing order'),
  idleStates: z
    .record(z.string(), z.array(z.string()).readonly())
    .default({})
    .describe('Ids of the idle clips of each named state in playing order'),
  loading: z.array(loadingSegmentSchema).describe('Segments that are being loaded or waiting for it'),
  problems: z.array(folderProblemSchema).describe('Files of its folder that cannot be used'),
});
export type AvatarDetails = z.infer<typeof avatarDetailsSchema>;
