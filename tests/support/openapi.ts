import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';

export interface JsonSchema {
  $ref?: string;
  type?: string;
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  description?: string;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  items?: JsonSchema;
  properties?: Record<string, JsonSchema>;
  required?: string[];
  additionalProperties?: unknown;
  maxLength?: number;
  maxItems?: number;
  maximum?: number;
}

interface Content {
  [type: string]: { schema: JsonSchema };
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required: boolean;
  schema: JsonSchema;
}

export interface Operation {
  servers: { description: string }[];
  security: object[];
  parameters: Parameter[];
  requestBody?: { content: Content };
  responses: Record<string, { headers?: Record<string, unknown>; content?: Content }>;
  'x-websocket'?: true;
}

export interface OpenApi {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, JsonSchema> };
}

export const DOCUMENT = JSON.parse(
  readFileSync(new URL('../../docs/openapi.json', import.meta.url), 'utf8'),
) as OpenApi;

/** @returns the schema itself, with a reference resolved. */
export function resolved(schema: JsonSchema): JsonSchema {
  if (schema.$ref === undefined) return schema;
  const found = DOCUMENT.components.schemas[schema.$ref.split('/').at(-1) ?? ''];
  if (!found) throw new Error(`${schema.$ref} is not in the document`);
  return found;
}

/** Rejects undocumented members, except where schemas are combined. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const schema = value as JsonSchema;
  if (schema.allOf) return value;
  const members = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, closed(item)]));
  return schema.properties && schema.type === 'object' ? { additionalProperties: false, ...members } : members;
}

const validators = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
validators.addSchema(closed({ components: { schemas: withOpenProblem() } }) as object, 'openapi');

function withOpenProblem(): Record<string, JsonSchema> {
  const { Problem, ...others } = DOCUMENT.components.schemas;
  return { ...others, Problem: { ...Problem, additionalProperties: true } };
}

/** @returns deviations of an answer from the operation's documentation; empty if there are none. */
export function deviations(operation: Operation, response: Response, body: string): string[] {
  const documented = operation.responses[response.status];
  if (!documented) return [`status ${response.status} is not documented: ${body}`];
  const type = response.headers.get('content-type')?.split(';')[0] ?? '';
  const [expected] = Object.entries(documented.content ?? {});
  if (!expected) return body === '' ? [] : [`a body is not documented: ${body}`];
  const [expectedType, { schema }] = expected;
  if (type !== expectedType) return [`${type} instead of ${expectedType}`];
  if (!type.endsWith('json')) return [];
  const absolute = JSON.parse(JSON.stringify(closed(schema)).replaceAll('"#/', '"openapi#/')) as object;
  const validate = validators.compile(absolute);
  if (validate(JSON.parse(body))) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message, params }) =>
      `${instancePath} ${message} ${JSON.stringify(params)}: ${body.slice(0, 300)}`,
  );
}

export interface Mutant {
  readonly what: string;
  readonly body: unknown;
}

/** @returns bodies that each violate the schema in one way. */
export function brokenBodies(schema: JsonSchema, valid: Readonly<Record<string, unknown>>): Mutant[] {
  const { properties = {}, required = [] } = schema;
  const missing = required
    .filter((name) => properties[name]?.default === undefined)
    .map((name) => ({ what: `without ${name}`, body: { ...valid, [name]: undefined } }));
  const wrong = Object.entries(properties).flatMap(([name, member]) =>
    violations(resolved(member)).map(([what, value]) => ({
      what: `${name}: ${what}`,
      body: { ...valid, [name]: value },
    })),
  );
  return [
    ...missing,
    ...wrong,
    { what: 'an unknown member', body: { ...valid, unknownMember: 1 } },
    { what: 'an array', body: [valid] },
    { what: 'null members', body: Object.fromEntries(Object.keys(properties).map((name) => [name, null])) },
  ];
}

function violations(schema: JsonSchema): [string, unknown][] {
  const { description: _, ...constraints } = schema;
  if (Object.keys(constraints).length === 0) return []; // any value
  const found: [string, unknown][] = [['another type', schema.type === 'object' ? 'text' : { nested: true }]];
  if (schema.enum) found.push(['an unknown value', 'no-such-value']);
  if (schema.maxLength !== undefined) found.push(['too long', 'x'.repeat(schema.maxLength + 1)]);
  if (schema.maximum !== undefined) found.push(['too large', schema.maximum + 1]);
  if (schema.type === 'array') {
    found.push(['elements of another type', [{ nested: true }, 7]]);
    if (schema.maxItems !== undefined) found.push(['too many', Array(schema.maxItems + 1).fill('seg_aaaaaaaaaaaa')]);
  }
  return found;
}
