import { codecSchema, connectionIdSchema, idSchema, reportSchema, sdpSchema, sendingSchema } from '@humancast/protocol';
import { z } from 'zod';

const session = idSchema;
const viewer = idSchema;
const connection = connectionIdSchema;

/** `a=ice-ufrag` and `a=ice-pwd` (RFC 8839 §5.4). */
export const iceCredentialsSchema = z.object({
  usernameFragment: z.string().regex(/^[A-Za-z0-9+/]{4,256}$/),
  password: z.string().regex(/^[A-Za-z0-9+/]{22,256}$/),
});

/** Limit of viewers named in a request for a session's state. */
export const INSPECTED_VIEWERS = 500;

/** Messages to a media-sender that hosts or follows the session, mostly from signaling. */
export const toSenderSchema = z.discriminatedUnion('type', [
  /**
   * The session's viewers changed: a viewer joined, requested a new connection, was placed elsewhere, or left.
   * `viewer`: the only one that changed; absent: any may have.
   */
  z.object({ type: z.literal('viewers.changed'), session, viewer: viewer.optional() }),
  z.object({ type: z.literal('viewer.answer'), session, viewer, connection, sdp: sdpSchema }),
  z.object({ type: z.literal('viewer.report'), session, viewer, connection, report: reportSchema }),
  /** A player begins a new ICE session (WHEP). Answered by `viewer.restarted` to `replyTo`. */
  z.object({
    type: z.literal('viewer.restart'),
    session,
    viewer,
    connection,
    request: z.string(),
    replyTo: z.string(),
    ice: iceCredentialsSchema,
  }),
  /** Everything queued up to and including `seq` was interrupted. */
  z.object({ type: z.literal('session.interrupt'), session, seq: z.int().min(0) }),
  /** The session's idle state has changed. */
  z.object({ type: z.literal('session.state'), session }),
  z.object({ type: z.literal('session.end'), session, reason: z.string() }),
  /** Answered by `session.inspected` to `replyTo`. `viewers`: those of whom reports are wanted; absent: all. */
  z.object({
    type: z.literal('session.inspect'),
    session,
    request: z.string(),
    replyTo: z.string(),
    viewers: z.array(viewer).max(INSPECTED_VIEWERS).optional(),
  }),
  z.object({ type: z.literal('sender.drain') }),
]);
export type ToSender = z.infer<typeof toSenderSchema>;

/** The playhead and related state, as known by the host, or by a follower, at this instant. */
const inspectionSchema = z.object({
  playhead: z
    .object({ segment: idSchema, role: z.enum(['idle', 'speech']), positionMs: z.number(), frame: z.int() })
    .optional(),
  /**
   * Position of the idle clip at which speech queued now would cut in, so that a producer can start its segment from that
   * frame.
   */
  nextCut: z.object({ segment: idSchema, frame: z.int(), inMs: z.number() }).optional(),
  held: z.boolean(),
  prefetchedMs: z.number(),
  underruns: z.int(),
  /** Latest report of each viewer, with its time. */
  reports: z.array(z.object({ viewer, atMs: z.number(), report: reportSchema })).optional(),
  /** Rendition sent to each connected viewer. */
  sending: z.array(z.object({ viewer, ...sendingSchema.shape })).optional(),
});
export type Inspection = z.infer<typeof inspectionSchema>;

/** The media-sender that made the description, to which messages about its connection go; absent: the host. */
const sender = idSchema.optional();

/** Messages to the signaling process of a viewer, mostly from its media-sender. Viewers ignore those of an older epoch. */
export const toSignalingSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('viewer.offer'),
    session,
    viewer,
    connection,
    epoch: z.int(),
    sdp: sdpSchema,
    codec: codecSchema.optional(),
    sender,
  }),
  /** The answer to a viewer's own offer (WHEP). */
  z.object({ type: z.literal('viewer.answered'), session, viewer, connection, epoch: z.int(), sdp: sdpSchema, sender }),
  z.object({ type: z.literal('viewer.closed'), session, viewer, connection, epoch: z.int(), reason: z.string() }),
  z.object({ type: z.literal('viewer.error'), session, viewer, epoch: z.int(), code: z.string(), message: z.string() }),
  /** The host's side of a player's new ICE session, as an SDP fragment; missing if the host has no such connection. */
  z.object({
    type: z.literal('viewer.restarted'),
    session,
    viewer,
    request: z.string(),
    fragment: sdpSchema.optional(),
  }),
  /** Sent by another signaling process: the viewer has connected there. */
  z.object({ type: z.literal('viewer.replaced'), session, viewer }),
  z.object({ type: z.literal('session.inspected'), session, request: z.string(), inspection: inspectionSchema }),
]);
export type ToSignaling = z.infer<typeof toSignalingSchema>;
