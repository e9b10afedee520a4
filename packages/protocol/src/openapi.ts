import { z } from 'zod';
import { avatarDefinitionSchema, renditionConfigSchema } from './avatar.js';
import { compositionSchema, layerSchema } from './composition.js';
import {
  type Access,
  type Answer,
  type Content,
  ENDPOINTS,
  type Endpoint,
  errorsOf,
  HEADERS,
  type HeaderName,
  type Service,
} from './endpoints.js';
import { ERRORS, type ErrorCode } from './errors.js';
import { liveLoaderMessageSchema, liveProducerMessageSchema } from './live-push.js';
import * as rest from './rest.js';
import { renditionSchema } from './segment.js';
import { sessionEventSchema } from './session-event.js';
import { iceServerSchema, signalMessageSchema, viewerMessageSchema } from './signal.js';

export { ENDPOINTS, type Endpoint, errorsOf } from './endpoints.js';

type Json = Record<string, unknown>;

/** Named schemas of request bodies and messages to the services. */
const INPUTS = {
  CreateSession: rest.createSessionSchema,
  Speak: rest.speakSchema,
  Interrupt: rest.interruptSchema,
  IdleState: rest.idleStateSchema,
  Message: rest.messageSchema,
  Say: rest.saySchema,
  AvatarDefinition: avatarDefinitionSchema,
  RenditionConfig: renditionConfigSchema,
  Composition: compositionSchema,
  Layer: layerSchema,
  ChangeSegment: rest.changeSegmentSchema,
  ViewerMessage: viewerMessageSchema,
  LiveProducerMessage: liveProducerMessageSchema,
} as const;

/** Named schemas of answers and messages from the services. */
const OUTPUTS = {
  NewSession: rest.newSessionSchema,
  IceServer: iceServerSchema,
  SessionList: rest.sessionListSchema,
  SessionSummary: rest.sessionSummarySchema,
  SessionDetails: rest.sessionDetailsSchema,
  QueuedSegment: rest.queuedSegmentSchema,
  Spoken: rest.spokenSchema,
  Interrupted: rest.interruptedSchema,
  ShownState: rest.shownStateSchema,
  SentMessage: rest.sentMessageSchema,
  ViewerState: rest.viewerStateSchema,
  SessionSegment: rest.sessionSegmentSchema,
  SessionSegmentList: rest.sessionSegmentListSchema,
  SessionEvent: sessionEventSchema,
  SignalMessage: signalMessageSchema,
  Said: rest.saidSchema,
  Sender: rest.senderSchema,
  SenderList: rest.senderListSchema,
  Draining: rest.drainingSchema,
  AvatarOverviewList: rest.avatarOverviewListSchema,
  AvatarList: rest.avatarListSchema,
  AvatarSummary: rest.avatarSummarySchema,
  AvatarDetails: rest.avatarDetailsSchema,
  FolderProblem: rest.folderProblemSchema,
  Segment: rest.segmentSchema,
  Rendition: renditionSchema,
  SegmentList: rest.segmentListSchema,
  SegmentListEntry: rest.segmentListEntrySchema,
  LoadingSegment: rest.loadingSegmentSchema,
  AcceptedUpload: rest.acceptedUploadSchema,
  LiveLoaderMessage: liveLoaderMessageSchema,
  Health: rest.healthSchema,
  Readiness: rest.readinessSchema,
} as const;

const problemSchema = z
  .looseObject({
    type: z.string().describe('URI of the error code'),
    title: z.string(),
    status: z.int(),
    code: z.string().describe('Stable error code'),
    detail: z.string().describe('Explanation for humans'),
  })
  .describe('RFC 9457; some codes have further members');

const SERVERS: Readonly<Record<Service, Json>> = {
  signaling: { url: 'http://127.0.0.1:8080', description: 'signaling' },
  'segment-loader': { url: 'http://127.0.0.1:8081', description: 'segment-loader' },
};

const schemaUri = (name: string) => `#/components/schemas/${name}`;

/** @returns The OpenAPI 3.1 document of signaling and segment-loader. An operation's `servers` name the service. */
export function openApiDocument(): Json {
  const paths: Record<string, Json> = {};
  for (const endpoint of ENDPOINTS) {
    paths[endpoint.path] ??= {};
    Object.assign(paths[endpoint.path] as Json, { [endpoint.method]: operationOf(endpoint) });
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'humancast',
      version: '1',
      description:
        'Control plane (signaling) and media plane (segment-loader). Errors are problem documents (RFC 9457).',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: Object.values(SERVERS),
    paths,
    components: {
      schemas: {
        Problem: jsonSchemaOf(problemSchema, 'output'),
        ...componentsOf(INPUTS, 'input'),
        ...componentsOf(OUTPUTS, 'output'),
      },
      headers: mapValues(HEADERS, (description) => ({ description, schema: { type: 'string' } })),
      securitySchemes: {
        apiKey: {
          type: 'http',
          scheme: 'bearer',
          description: 'An API key; its scopes and avatars limit what it may do',
        },
        sessionToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT', description: 'The token of a session' },
      },
    },
  };
}

function operationOf(endpoint: Endpoint): Json {
  const { services, method, path, summary, description, access, body, answers, webSocket } = endpoint;
  return {
    operationId: `${method} ${path}`.replaceAll(/[^a-z0-9]+(.)?/gi, (_, next: string = '') => next.toUpperCase()),
    tags: services,
    servers: services.map((service) => SERVERS[service]),
    summary,
    ...(description && { description }),
    security: securityOf(access),
    parameters: parametersOf(endpoint),
    ...(body && { requestBody: { required: true, content: contentOf(body, 'input') } }),
    responses: { ...mapValues(answers, answerOf), ...problemsOf(errorsOf(endpoint)) },
    ...(webSocket && { 'x-websocket': true }),
  };
}

function securityOf(access: Access | undefined): Json[] {
  if (!access) return [];
  return [
    ...(access.key ? [{ apiKey: access.key }] : []),
    ...(access.token ? [{ sessionToken: [access.token] }] : []),
    ...(access.demo ? [{}] : []),
  ];
}

function parametersOf({ parameters = {}, query, headers = [] }: Endpoint): Json[] {
  const inPath = Object.entries(parameters).map(([name, schema]) => parameterOf(name, 'path', schema, true));
  const inQuery = Object.entries(query?.shape ?? {}).map(([name, schema]) =>
    parameterOf(name, 'query', schema as z.ZodType, !(schema as z.ZodType).safeParse(undefined).success),
  );
  const inHeaders = headers.map((name) => ({
    name,
    in: 'header',
    required: false,
    description: HEADERS[name],
    schema: { type: 'string' },
  }));
  return [...inPath, ...inQuery, ...inHeaders];
}

function parameterOf(name: string, place: 'path' | 'query', schema: z.ZodType, required: boolean): Json {
  const { description, ...rest } = jsonSchemaOf(schema, 'input');
  return { name, in: place, required, ...(description !== undefined && { description }), schema: rest };
}

function answerOf({ description, content, headers }: Answer): Json {
  return {
    description,
    ...(headers && { headers: headersOf(headers) }),
    ...(content && { content: contentOf(content, 'output') }),
  };
}

function headersOf(names: readonly HeaderName[]): Json {
  return Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));
}

function contentOf({ type, schema }: Content, io: 'input' | 'output'): Json {
  return { [type]: { schema: schema ? refOf(schema, io) : { type: 'string' } } };
}

/** Groups error codes by status: one response for each. */
function problemsOf(codes: readonly ErrorCode[]): Json {
  const byStatus = Object.groupBy(codes, (code) => ERRORS[code].status);
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, group = []]) => {
      const headers: HeaderName[] = status === '401' ? ['Retry-After', 'WWW-Authenticate'] : ['Retry-After'];
      const schema = {
        allOf: [{ $ref: schemaUri('Problem') }, { properties: { code: { enum: group } } }],
      };
      return [
        status,
        {
          description: group.map((code) => ERRORS[code].title).join('; '),
          headers: headersOf(headers),
          content: { 'application/problem+json': { schema } },
        },
      ];
    }),
  );
}

/** @returns A reference if the schema has a name, otherwise the schema with references to those that have. */
function refOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const name = Object.entries(io === 'input' ? INPUTS : OUTPUTS).find(([, named]) => named === schema)?.[0];
  if (name !== undefined) return { $ref: schemaUri(name) };
  const { anonymous } = componentsOf({ ...(io === 'input' ? INPUTS : OUTPUTS), anonymous: schema }, io);
  return anonymous as Json;
}

function componentsOf(schemas: Readonly<Record<string, z.ZodType>>, io: 'input' | 'output'): Record<string, Json> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(schemas)) registry.add(schema, { id });
  const made = z.toJSONSchema(registry, { uri: schemaUri, io, unrepresentable: 'any' });
  return mapValues(made.schemas, (schema) => simplified(schema as Json, io));
}

function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  return simplified(z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json, io);
}

/**
 * Removes `$schema`, `$id` and the limits of safe integers, and from answers `additionalProperties`, because later versions
 * may add members.
 */
function simplified(schema: Json, io: 'input' | 'output'): Json {
  const isOmitted = (key: string, value: unknown) =>
    OMITTED.has(key) || isSafeLimit(key, value) || (io === 'output' && key === 'additionalProperties');
  const clean = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(clean);
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value).filter(([key, item]) => !isOmitted(key, item));
    return Object.fromEntries(entries.map(([key, item]) => [key, clean(item)]));
  };
  return clean(schema) as Json;
}

const OMITTED: ReadonlySet<string> = new Set(['$schema', '$id', '~standard']);

function isSafeLimit(key: string, value: unknown): boolean {
  if (key === 'minimum') return value === Number.MIN_SAFE_INTEGER;
  return key === 'maximum' && value === Number.MAX_SAFE_INTEGER;
}

function mapValues<T, U>(object: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
