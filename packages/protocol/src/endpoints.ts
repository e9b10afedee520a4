import { z } from 'zod';
import { avatarDefinitionSchema } from './avatar.js';
import { compositionSchema } from './composition.js';
import type { ErrorCode } from './errors.js';
import { idSchema, slugSchema } from './ids.js';
import { listenRateSchema } from './listen.js';
import * as rest from './rest.js';

export type Service = 'signaling' | 'segment-loader';
type Scope = 'sessions' | 'media' | 'speak' | 'operate';

/** Request and response headers that endpoints use. */
export const HEADERS = {
  'Idempotency-Key':
    '1–128 printable ASCII characters. The same request under the same key is executed once and gets the same answer',
  'If-Match': 'The `ETag` of the resource, or `*`',
  'If-None-Match': 'The `ETag` of the version that the caller has',
  'Last-Event-ID': 'Id of the last event received; the stream continues after it',
  traceparent: 'W3C Trace Context of the caller; used with an API key only',
  Location: 'URL of the new resource, relative to the request',
  ETag: 'Identifies this version of the resource',
  Link: 'TURN servers, each with `rel="ice-server"`',
  'Accept-Post': 'Media type of an offer',
  'Accept-Patch': 'Media type of an ICE fragment',
  Allow: 'Methods of the resource',
  'Retry-After': 'Delay before a retry makes sense, seconds',
  'WWW-Authenticate': '`Bearer`',
} as const;
export type HeaderName = keyof typeof HEADERS;

export interface Access {
  /** Scopes of API keys; one of them is enough. Empty: any API key. */
  readonly key?: readonly Scope[];
  /** Minimum scope of a session token. */
  readonly token?: 'view' | 'control';
  /** Whether callers without credentials are admitted if `PUBLIC_DEMO` allows demos. */
  readonly demo?: true;
}

export interface Content {
  readonly type: string;
  readonly schema?: z.ZodType;
}

export interface Answer {
  readonly description: string;
  readonly content?: Content;
  readonly headers?: readonly HeaderName[];
}

/** One operation of the REST interface. */
export interface Endpoint {
  readonly services: readonly Service[];
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete' | 'options';
  /** Path with `{name}` for path parameters. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  /** Missing: admits anyone. */
  readonly access?: Access;
  readonly parameters?: Readonly<Record<string, z.ZodType>>;
  readonly query?: z.ZodObject;
  readonly headers?: readonly HeaderName[];
  readonly body?: Content;
  readonly answers: Readonly<Record<number, Answer>>;
  /** Errors besides those that {@link errorsOf} adds. */
  readonly errors?: readonly ErrorCode[];
  /** Whether this is a WebSocket, which no HTTP client can use. */
  readonly webSocket?: true;
}

const json = (schema: z.ZodType): Content => ({ type: 'application/json', schema });
const SDP: Content = { type: 'application/sdp' };
const SDP_FRAGMENT: Content = { type: 'application/trickle-ice-sdpfrag' };

const session = { id: idSchema.describe('Id of the session') };
const segment = { id: idSchema.describe('Id of the segment') };
const avatar = { id: slugSchema.describe('Id of the avatar') };
const resource = { id: z.string().describe('From the `Location` of the answer to the offer') };
const sessionErrors = ['session_not_found', 'record_unreadable'] as const;

const POSTER: Readonly<Record<number, Answer>> = {
  200: { description: 'The image', content: { type: 'image/webp' }, headers: ['ETag'] },
  304: { description: 'The caller has this version' },
};

const ofSignaling = (endpoint: Omit<Endpoint, 'services'>): Endpoint => ({ services: ['signaling'], ...endpoint });
const ofLoader = (endpoint: Omit<Endpoint, 'services'>): Endpoint => ({ services: ['segment-loader'], ...endpoint });
const ofBoth = (endpoint: Omit<Endpoint, 'services'>): Endpoint => ({
  services: ['signaling', 'segment-loader'],
  ...endpoint,
});

export const ENDPOINTS: readonly Endpoint[] = [
  // sessions
  ofSignaling({
    method: 'post',
    path: '/v1/sessions',
    summary: 'Create a session',
    description: '`avatar_has_no_idle` has a `Retry-After` while the avatar is still loading.',
    access: { key: ['sessions'], demo: true },
    headers: ['Idempotency-Key'],
    body: json(rest.createSessionSchema),
    answers: { 201: { description: 'The session', content: json(rest.newSessionSchema), headers: ['Location'] } },
    errors: ['avatar_not_found', 'avatar_has_no_idle', 'session_limit', 'no_capacity', 'record_unreadable'],
  }),
  ofSignaling({
    method: 'get',
    path: '/v1/sessions',
    summary: 'List sessions, newest first',
    description: 'With `operate` all sessions, otherwise those that an API key of this name created.',
    access: { key: ['sessions', 'operate'] },
    answers: { 200: { description: 'The sessions', content: json(rest.sessionListSchema) } },
  }),
  ofSignaling({
    method: 'get',
    path: '/v1/sessions/{id}',
    summary: 'Get the state of a session',
    access: { key: ['sessions', 'speak', 'operate'], token: 'view' },
    parameters: session,
    answers: { 200: { description: 'The session', content: json(rest.sessionDetailsSchema) } },
    errors: sessionErrors,
  }),
  ofSignaling({
    method: 'delete',
    path: '/v1/sessions/{id}',
    summary: 'End a session',
    access: { key: ['sessions', 'operate'], token: 'control' },
    parameters: session,
    answers: { 204: { description: 'The session has ended, now or before' } },
    errors: sessionErrors,
  }),
  ofSignaling({
    method: 'post',
    path: '/v1/sessions/{id}/speak',
    summary: 'Queue segments',
    description:
      'Segments pushed into another session are `segment_not_found`, except for the API key that pushed them and for `operate`.',
    access: { key: ['sessions', 'speak'], token: 'control' },
    parameters: session,
    headers: ['Idempotency-Key', 'traceparent'],
    body: json(rest.speakSchema),
    answers: {
      202: { description: 'Sequence numbers of the segments in the queue', content: json(rest.spokenSchema) },
    },
    errors: [
      ...sessionErrors,
      'session_ended',
      'segment_not_found',
      'segment_wrong_avatar',
      'segment_not_ready',
      'interrupted',
      'queue_full',
    ],
  }),
  ofSignaling({
    method: 'post',
    path: '/v1/sessions/{id}/interrupt',
    summary: 'Interrupt speech, empty the queue and begin a new turn',
    description: 'The event `speech.finished` of each segment states how much of it was played.',
    access: { key: ['sessions', 'speak', 'operate'], token: 'view' },
    parameters: session,
    headers: ['Idempotency-Key'],
    body: json(rest.interruptSchema),
    answers: { 202: { description: 'Speech was interrupted', content: json(rest.interruptedSchema) } },
    errors: [...sessionErrors, 'session_ended', 'interrupted'],
  }),
  ofSignaling({
    method: 'put',
    path: '/v1/sessions/{id}/state',
    summary: 'Set the idle state of a session',
    description: 'Shown whenever there is no speech, from the next point that the cut policy of the avatar allows.',
    access: { key: ['sessions', 'speak'], token: 'control' },
    parameters: session,
    body: json(rest.idleStateSchema),
    answers: { 200: { description: 'The state is set', content: json(rest.shownStateSchema) } },
    errors: [...sessionErrors, 'session_ended', 'interrupted'],
  }),
  ofSignaling({
    method: 'post',
    path: '/v1/sessions/{id}/messages',
    summary: 'Send a message to the pages of viewers',
    description: 'Pages answer by the event `viewer.message`.',
    access: { key: ['sessions', 'speak'], token: 'control' },
    parameters: session,
    headers: ['Idempotency-Key'],
    body: json(rest.messageSchema),
    answers: { 202: { description: 'The message was sent', content: json(rest.sentMessageSchema) } },
    errors: [...sessionErrors, 'session_ended'],
  }),
  ofSignaling({
    method: 'post',
    path: '/v1/sessions/{id}/say',
    summary: 'Have the demo producer say a text',
    description: '`not_found` unless `canSay` is true in the state of the session.',
    access: { key: ['sessions', 'speak'], token: 'control' },
    parameters: session,
    headers: ['Idempotency-Key', 'traceparent'],
    body: json(rest.saySchema),
    answers: { 202: { description: 'The demo producer accepted the text', content: json(rest.saidSchema) } },
    errors: [...sessionErrors, 'not_found', 'session_ended', 'interrupted', 'queue_full'],
  }),
  ofSignaling({
    method: 'get',
    path: '/v1/sessions/{id}/events',
    summary: 'Follow the events of a session',
    description:
      'Server-sent events; `data` is a `SessionEvent`. The stream ends after `session.ended`. The last 2000 events are kept; `events.missed` stands for older ones.',
    access: { key: ['sessions', 'speak', 'operate'], token: 'view' },
    parameters: session,
    query: rest.eventsQuerySchema,
    headers: ['Last-Event-ID'],
    answers: {
      200: { description: 'The events', content: { type: 'text/event-stream' } },
      204: { description: 'The session has ended and the reader has received its last event' },
    },
    errors: [...sessionErrors, 'session_ended', 'too_many_connections'],
  }),
  ofSignaling({
    method: 'get',
    path: '/v1/sessions/{id}/listen',
    summary: 'Hear the viewers of a session (WebSocket)',
    description:
      'For viewers with a `microphoneToken`. Text messages are `ListenMessage`; a binary message is 20 ms of one voice. See [conversations](conversations.md).',
    access: { key: ['sessions', 'speak'] },
    parameters: session,
    query: z.object({ rate: listenRateSchema.describe('Sample rate of the voices, Hz') }),
    answers: { 101: { description: 'The WebSocket is open' } },
    errors: [...sessionErrors, 'session_ended', 'too_many_connections'],
    webSocket: true,
  }),
  ofSignaling({
    method: 'get',
    path: '/v1/sessions/{id}/segments',
    summary: 'List segments of a session',
    description:
      'Segments that the caller may queue; with a token of scope `view`, the segments that are playing, queued or were played recently, at most 100.',
    access: { key: ['sessions', 'speak', 'operate'], token: 'view' },
    parameters: session,
    answers: { 200: { description: 'The segments', content: json(rest.sessionSegmentListSchema) } },
    errors: sessionErrors,
  }),
  ofSignaling({
    method: 'get',
    path: '/v1/sessions/{id}/poster',
    summary: "Get the poster of a session's avatar",
    description: 'The first frame of its idle playlist, as WebP. `not_found` if the clip has no VP8 rendition.',
    access: { key: ['sessions', 'speak', 'operate'], token: 'view' },
    parameters: session,
    query: rest.posterQuerySchema,
    headers: ['If-None-Match'],
    answers: POSTER,
    errors: [...sessionErrors, 'avatar_has_no_idle', 'not_found'],
  }),
  ofSignaling({
    method: 'get',
    path: '/v1/signal',
    summary: 'Connect a viewer (WebSocket)',
    description:
      'Text messages: `ViewerMessage` to the server, `SignalMessage` to the viewer. See [signaling](signaling.md).',
    answers: { 101: { description: 'The WebSocket is open' } },
    errors: ['forbidden', 'too_many_connections'],
    webSocket: true,
  }),
  // media-senders
  ofSignaling({
    method: 'get',
    path: '/v1/senders',
    summary: 'List media-senders',
    access: { key: ['operate'] },
    answers: { 200: { description: 'Media-senders that are alive', content: json(rest.senderListSchema) } },
  }),
  ofSignaling({
    method: 'post',
    path: '/v1/senders/{id}/drain',
    summary: 'Drain a media-sender',
    description: 'It hands its sessions over and accepts no new ones.',
    access: { key: ['operate'] },
    parameters: { id: idSchema.describe('Id of the media-sender') },
    answers: { 202: { description: 'The request was sent to the media-sender', content: json(rest.drainingSchema) } },
    errors: ['sender_not_found'],
  }),
  // WHEP
  ofSignaling({
    method: 'post',
    path: '/whep/{avatar}',
    summary: 'Watch by WHEP',
    description: 'The player sends an offer and receives the answer (draft-ietf-wish-whep).',
    access: { key: ['sessions', 'speak', 'operate'], token: 'view', demo: true },
    parameters: { avatar: avatar.id },
    query: rest.whepQuerySchema,
    headers: ['traceparent'],
    body: SDP,
    answers: {
      201: {
        description: 'The answer',
        content: SDP,
        headers: ['Location', 'ETag', 'Link', 'Accept-Patch', 'Accept-Post'],
      },
    },
    errors: [
      ...sessionErrors,
      'session_ended',
      'avatar_not_found',
      'avatar_has_no_idle',
      'session_limit',
      'viewer_limit',
      'no_capacity',
      'bad_sdp',
      'no_common_codec',
    ],
  }),
  ofSignaling({
    method: 'get',
    path: '/whep/{avatar}',
    summary: 'Check that WHEP is available',
    parameters: { avatar: avatar.id },
    answers: { 204: { description: 'WHEP is available' } },
  }),
  ofSignaling({
    method: 'options',
    path: '/whep/{avatar}',
    summary: 'Get TURN servers before offering',
    description: 'Without credentials, and unless `PUBLIC_DEMO` allows demos, no TURN servers are listed.',
    access: { key: ['sessions', 'speak', 'operate'], token: 'view', demo: true },
    parameters: { avatar: avatar.id },
    query: rest.whepQuerySchema,
    answers: { 200: { description: 'The TURN servers are in the headers', headers: ['Link', 'Accept-Post', 'Allow'] } },
    errors: sessionErrors,
  }),
  ofSignaling({
    method: 'patch',
    path: '/whep/resource/{id}',
    summary: 'Add ICE candidates of a WHEP player, or restart ICE',
    parameters: resource,
    headers: ['If-Match'],
    body: SDP_FRAGMENT,
    answers: {
      200: {
        description: 'ICE is restarted; the fragment has the new credentials',
        headers: ['ETag', 'Link', 'Accept-Patch'],
        content: SDP_FRAGMENT,
      },
      204: { description: 'The candidates were accepted', headers: ['Link', 'Accept-Patch'] },
    },
    errors: ['not_found', ...sessionErrors, 'precondition_required', 'precondition_failed', 'bad_sdp'],
  }),
  ofSignaling({
    method: 'get',
    path: '/whep/resource/{id}',
    summary: 'Check that a WHEP player is still connected',
    parameters: resource,
    answers: { 204: { description: 'The player is connected' } },
    errors: ['not_found', ...sessionErrors],
  }),
  ofSignaling({
    method: 'delete',
    path: '/whep/resource/{id}',
    summary: 'Stop watching by WHEP',
    parameters: resource,
    answers: { 200: { description: 'The player was removed' } },
    errors: ['not_found', ...sessionErrors],
  }),
  ofSignaling({
    method: 'options',
    path: '/whep/resource/{id}',
    summary: 'List the methods of a WHEP resource',
    parameters: resource,
    answers: { 200: { description: 'The methods are in the headers', headers: ['Allow', 'Accept-Patch'] } },
  }),
  // avatars
  {
    services: ['signaling', 'segment-loader'],
    method: 'get',
    path: '/v1/avatars',
    summary: 'List avatars',
    description:
      'Signaling answers with `AvatarOverviewList`, also without credentials if `PUBLIC_DEMO` allows demos; the segment-loader with `AvatarList`.',
    access: { key: [], demo: true },
    answers: {
      200: {
        description: 'The avatars that the caller may use',
        content: json(z.union([rest.avatarListSchema, rest.avatarOverviewListSchema])),
      },
    },
  },
  ofLoader({
    method: 'get',
    path: '/v1/avatars/{id}',
    summary: 'Get an avatar',
    access: { key: [] },
    parameters: avatar,
    answers: { 200: { description: 'The avatar', content: json(rest.avatarDetailsSchema) } },
    errors: ['avatar_not_found'],
  }),
  ofSignaling({
    method: 'get',
    path: '/v1/avatars/{id}/poster',
    summary: 'Get the poster of an avatar',
    description: 'The first frame of its idle playlist, as WebP. `not_found` if the clip has no VP8 rendition.',
    access: { key: [], demo: true },
    parameters: avatar,
    headers: ['If-None-Match'],
    answers: POSTER,
    errors: ['avatar_not_found', 'avatar_has_no_idle', 'record_unreadable', 'not_found'],
  }),
  ofLoader({
    method: 'put',
    path: '/v1/avatars/{id}',
    summary: 'Define or redefine an avatar',
    description: 'Segments of the watched folder are encoded again if the definition changes their encoding.',
    access: { key: ['media'] },
    parameters: avatar,
    body: json(avatarDefinitionSchema),
    answers: { 200: { description: 'The avatar', content: json(rest.avatarSummarySchema) } },
  }),
  ofLoader({
    method: 'delete',
    path: '/v1/avatars/{id}',
    summary: 'Delete an avatar with its segments',
    description: 'Sessions of the avatar end with the reason `avatar-deleted`.',
    access: { key: ['media'] },
    parameters: avatar,
    answers: { 204: { description: 'The avatar and all of its segments are deleted' } },
    errors: ['avatar_not_found', 'managed_by_folder'],
  }),
  // segments
  ofLoader({
    method: 'post',
    path: '/v1/segments',
    summary: 'Upload a segment',
    description:
      'A form with `file`, or with `video` and `audio`, or with `composition` first and then a file for each input, named like the input. A `text` in WebVTT says what is said in it.',
    access: { key: ['media'] },
    query: rest.uploadQuerySchema,
    headers: ['Idempotency-Key'],
    body: {
      type: 'multipart/form-data',
      schema: z.object({
        file: z.file().optional().describe('A media file'),
        video: z.file().optional().describe('A media file whose video is used'),
        audio: z.file().optional().describe('A media file whose audio is used'),
        composition: compositionSchema.optional(),
        text: z.string().optional().describe('What is said in it, as WebVTT'),
      }),
    },
    answers: {
      201: { description: 'The segment can be played', content: json(rest.segmentSchema), headers: ['Location'] },
      202: {
        description: 'The segment was received (`wait=false`); `GET /v1/segments/{id}` has its progress',
        content: json(rest.acceptedUploadSchema),
        headers: ['Location'],
      },
    },
    errors: [
      'avatar_not_found',
      'segment_not_found',
      'upload_too_large',
      'upload_incomplete',
      'text_unreadable',
      'too_many_uploads',
      'too_many_connections',
      'media_unreadable',
      'media_no_video',
      'media_truncated',
      'media_corrupt',
      'media_undecodable',
      'media_joined',
      'media_timestamps',
      'media_too_large',
      'media_too_small',
      'media_too_long',
      'composition_input_missing',
      'composition_length_unknown',
      'encoder_failed',
      'media_store_full',
      'disk_full',
    ],
  }),
  ofLoader({
    method: 'get',
    path: '/v1/segments',
    summary: 'List segments',
    access: { key: [] },
    query: rest.segmentListQuerySchema,
    answers: { 200: { description: 'The segments', content: json(rest.segmentListSchema) } },
    errors: ['avatar_not_found'],
  }),
  ofLoader({
    method: 'get',
    path: '/v1/segments/{id}',
    summary: 'Get a segment',
    description: 'A failed upload has the state `failed` and a `failure`.',
    access: { key: [] },
    parameters: segment,
    answers: { 200: { description: 'The segment', content: json(rest.segmentSchema) } },
    errors: ['segment_not_found'],
  }),
  ofLoader({
    method: 'patch',
    path: '/v1/segments/{id}',
    summary: 'Pin or unpin a segment',
    description: 'An unpinned segment expires if it is not played for `UPLOAD_TTL_SECONDS`.',
    access: { key: ['media'] },
    parameters: segment,
    body: json(rest.changeSegmentSchema),
    answers: { 200: { description: 'The segment', content: json(rest.segmentSchema) } },
    errors: ['segment_not_found', 'managed_by_folder', 'media_store_full', 'disk_full'],
  }),
  ofLoader({
    method: 'delete',
    path: '/v1/segments/{id}',
    summary: 'Delete a segment',
    description:
      'Sessions drop it: `speech.finished` with the cause `segment_deleted`. A key with the scope `speak` may delete what it pushed.',
    access: { key: ['media', 'speak'] },
    parameters: segment,
    answers: { 204: { description: 'The segment is deleted' } },
    errors: ['segment_not_found', 'managed_by_folder'],
  }),
  ofLoader({
    method: 'get',
    path: '/v1/live',
    summary: 'Push a segment live (WebSocket)',
    description:
      'Text messages: `LiveProducerMessage` to the server, `LiveLoaderMessage` to the producer. Binary messages: video and audio. See [live push](live-push.md).',
    access: { key: ['media', 'speak'] },
    query: z.object({
      avatar: slugSchema.describe('Id of the avatar'),
      session: idSchema.optional().describe('Session that plays the segment; requires only the scope `speak`'),
      turn: rest.turnQuerySchema.describe(
        'Turn of the session for which the segment is made; default: the current one. If the session is interrupted before `ready`, the push ends with `interrupted`',
      ),
    }),
    answers: { 101: { description: 'The WebSocket is open' } },
    errors: [
      'avatar_not_found',
      'session_not_found',
      'session_ended',
      'segment_wrong_avatar',
      'too_many_pushes',
      'too_many_connections',
    ],
    webSocket: true,
  }),
  // services
  ofBoth({
    method: 'get',
    path: '/healthz',
    summary: 'Check that the process answers',
    answers: { 200: { description: 'The process answers', content: json(rest.healthSchema) } },
  }),
  ofBoth({
    method: 'get',
    path: '/readyz',
    summary: 'Check that the service can serve',
    description:
      'Signaling stays ready without redis-media and reports that in `without`: viewers are still served, and requests that need media are rejected.',
    answers: { 200: { description: 'The service can serve', content: json(rest.readinessSchema) } },
  }),
  ofBoth({
    method: 'get',
    path: '/v1/openapi.json',
    summary: 'Get this document',
    answers: { 200: { description: 'OpenAPI 3.1', content: json(z.record(z.string(), z.unknown())) } },
  }),
];

/** @returns All error codes of an endpoint: its own, and those that follow from its access, parameters and body. */
export function errorsOf({ services, access, parameters, query, headers, body, errors = [] }: Endpoint): ErrorCode[] {
  const codes = new Set<ErrorCode>(errors);
  const add = (...more: ErrorCode[]) => {
    for (const code of more) codes.add(code);
  };
  if (access) add('unauthorized', 'forbidden');
  // Credentials that are not an API key are treated as a token.
  if (access && services.includes('signaling')) add('token_expired');
  if (parameters || query || headers) add('bad_request');
  if (headers?.includes('Idempotency-Key')) add('idempotency_key_reused');
  if (body) add('bad_request', 'message_too_large', 'unsupported_media_type');
  if (services.includes('signaling')) add('unknown_host');
  add('rate_limited', 'unavailable', 'internal');
  return [...codes];
}
