import { z } from 'zod';
import { idSchema, slugSchema } from './ids.js';
import { messageDataSchema } from './message.js';
import { alphaSchema, codecSchema } from './segment.js';
import { sessionEventSchema } from './session-event.js';

/** Maximum length of a session token, characters; a token has about 300. */
export const TOKEN_MAX_LENGTH = 1024;

/** Identifies an RTCPeerConnection; a viewer briefly has two while its session moves to another host. */
export const connectionIdSchema = z.string().regex(/^[A-Za-z0-9_-]{8,64}$/);

export const candidateSchema = z.object({
  candidate: z.string().max(512),
  sdpMid: z.string().max(16).nullable().exactOptional(),
  sdpMLineIndex: z.int().min(0).max(16).nullable().exactOptional(),
  usernameFragment: z.string().max(256).nullable().exactOptional(),
});
export type Candidate = z.infer<typeof candidateSchema>;

/** Size limit of a session description, over WebSocket and WHEP. */
export const SDP_LIMIT_BYTES = 32_768;
export const sdpSchema = z
  .string()
  .min(1)
  .refine(
    (sdp) => new TextEncoder().encode(sdp).length <= SDP_LIMIT_BYTES,
    `a description has at most ${SDP_LIMIT_BYTES} bytes`,
  );

/** Finite and within the quantity's plausible range, because reports feed metrics and one viewer must not distort them. */
const millis = (max: number) => z.number().min(-max).max(max);

/** A viewer's measurements since its last report, about once a second. */
export const reportSchema = z.object({
  /** Video delay relative to audio as played, ms; positive if video is late. Missing if the browser can't measure it. */
  skewMs: millis(10_000).optional(),
  /** Delay that the lip-sync trim adds to each receiver's jitter buffer, ms. */
  trimMs: z.object({ audio: millis(2000), video: millis(2000) }).optional(),
  jitterBufferMs: z.object({ audio: millis(20_000), video: millis(20_000) }).optional(),
  freezes: z.int().min(0).max(10_000).optional(),
  freezeMs: millis(3_600_000).optional(),
  framesDecoded: z.int().min(0).max(10_000).optional(),
  framesDropped: z.int().min(0).max(10_000).optional(),
  /** Size of the decoded video. */
  width: z.int().min(0).max(16_384).optional(),
  height: z.int().min(0).max(16_384).optional(),
  bytesReceived: z.int().min(0).max(1_000_000_000).optional(),
  packetsReceived: z.int().min(0).max(1_000_000).optional(),
  packetsLost: z.int().min(-1_000_000).max(1_000_000).optional(),
  concealedSamples: z.int().min(0).max(10_000_000).optional(),
  /** Delay of both tracks, for repairs and in a queue on the path, ms. */
  sharedDelayMs: millis(2000).optional(),
  roundTripMs: millis(60_000).optional(),
  /** Time from connecting to the first decoded frame, ms; sent once. */
  firstFrameMs: millis(600_000).optional(),
});
export type ViewerReport = z.infer<typeof reportSchema>;

/** Messages of a viewer on `WS /v1/signal`. */
export const viewerMessageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('join'),
    session: idSchema,
    token: z.string().max(TOKEN_MAX_LENGTH),
    /** The viewer id of an earlier `joined`, to resume after the WebSocket was lost; replaces that connection. */
    viewer: idSchema.optional(),
    /** The `resume` of that `joined`, required with `viewer`. */
    resume: z.string().max(128).optional(),
    /** The peer connection that is still playing, if any; then no new one is offered. */
    connection: connectionIdSchema.optional(),
  }),
  z.object({ type: z.literal('answer'), connection: connectionIdSchema, sdp: sdpSchema }),
  z.object({ type: z.literal('candidate'), connection: connectionIdSchema, candidate: candidateSchema }),
  /** Requests a new peer connection, because this one failed or nothing arrives on it. */
  z.object({ type: z.literal('reconnect'), connection: connectionIdSchema.optional() }),
  z.object({ type: z.literal('report'), connection: connectionIdSchema, report: reportSchema }),
  z.object({ type: z.literal('interrupt') }),
  /** Tells the session's producers something, as the event `viewer.message`. */
  z.object({ type: z.literal('message'), data: messageDataSchema }),
  z.object({ type: z.literal('leave') }),
  z.object({ type: z.literal('ping') }),
]);
export type ViewerMessage = z.infer<typeof viewerMessageSchema>;

export const iceServerSchema = z.object({
  urls: z.array(z.string()),
  username: z.string().exactOptional(),
  credential: z.string().exactOptional(),
});
export type IceServer = z.infer<typeof iceServerSchema>;

/** Messages of signaling to a viewer. */
export const signalMessageSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('joined'),
    session: idSchema,
    viewer: idSchema,
    /** Secret with which this viewer can resume. */
    resume: z.string(),
    avatar: slugSchema,
    /** How the video is transparent, if it is. */
    alpha: alphaSchema.optional(),
    iceServers: z.array(iceServerSchema),
    /** Whether to use `iceTransportPolicy: 'relay'`. */
    relayOnly: z.boolean(),
    /**
     * Maximum interval between pings that the server expects, ms; after two intervals of silence it closes the connection.
     */
    heartbeatMs: z.number(),
  }),
  /** The session has no host yet, because every media-sender is full. */
  z.object({ type: z.literal('waiting'), position: z.int().min(1) }),
  z.object({
    type: z.literal('offer'),
    connection: connectionIdSchema,
    epoch: z.int().min(1),
    sdp: sdpSchema,
    codec: codecSchema.optional(),
    /**
     * TURN servers for this connection, because the credentials in `joined` may have expired; missing without TURN servers.
     */
    iceServers: z.array(iceServerSchema).optional(),
  }),
  z.object({ type: z.literal('candidate'), connection: connectionIdSchema, candidate: candidateSchema }),
  /** The host has closed this connection. */
  z.object({ type: z.literal('closed'), connection: connectionIdSchema, reason: z.string() }),
  z.object({ type: z.literal('event'), event: sessionEventSchema }),
  /** A producer tells this viewer something. */
  z.object({ type: z.literal('message'), data: messageDataSchema }),
  z.object({ type: z.literal('pong') }),
  z.object({ type: z.literal('error'), code: z.string(), message: z.string() }),
]);
export type SignalMessage = z.infer<typeof signalMessageSchema>;
