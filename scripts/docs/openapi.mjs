// Generates docs/openapi.json and docs/api.md from the endpoints and schemas of packages/protocol.
import { join } from 'node:path';
import { runMain } from '../lib/output.mjs';
import { table, writePage } from '../lib/page.mjs';
import { ROOT } from '../lib/run.mjs';

const INTRO = `# API reference

<!-- Made by \`npm run docs\` out of packages/protocol/src/{endpoints,rest}.ts; changes belong there. -->

The REST interface of signaling (port 8080) and segment-loader (port 8081), as in [openapi.json](openapi.json), which both services
serve at \`/v1/openapi.json\`. [Signaling](signaling.md) and [producers](producers.md) explain how to use it, and describe the
WebSockets.

Callers authenticate with \`Authorization: Bearer\` and an API key or a session token. *Access* names the scopes of a key, of
which one is enough, and the least scope of a token. With \`sessions\` alone, a key reaches the sessions that a key of its name
created. Request bodies have at most 64 KiB (uploads: \`UPLOAD_LIMIT_BYTES\`), and unknown members are rejected; readers must ignore
unknown members of answers. Every endpoint may also answer with \`rate_limited\`, \`unavailable\` and \`internal\`, and signaling
with \`unknown_host\`; see [errors](errors.md).
`;
const EVERYWHERE = new Set(['rate_limited', 'unavailable', 'internal', 'unknown_host']);

/** @typedef {any} Json A part of the document. */

/** @param {Json} schema @returns {string} The type of a schema, as a phrase. */
function typeOf(schema) {
  if (schema.$ref) return linkTo(schema.$ref);
  if (schema.enum) return schema.enum.map((/** @type {unknown} */ value) => `\`${value}\``).join(', ');
  if (schema.const !== undefined) return `\`${schema.const}\``;
  const options = schema.anyOf ?? schema.oneOf;
  if (options) return options.map(typeOf).join(' or ');
  if (schema.allOf) return schema.allOf.map(typeOf).join(' and ');
  if (schema.type === 'array') return `array of ${typeOf(schema.items)}${rangeOf(schema.minItems, schema.maxItems)}`;
  if (schema.properties)
    return `{ ${Object.keys(schema.properties)
      .map((name) => `\`${name}\``)
      .join(', ')} }`;
  if (schema.format === 'binary' || schema.contentEncoding === 'binary') return 'file';
  if (schema.type === 'string') return `string${rangeOf(schema.minLength, schema.maxLength, ' characters')}`;
  return `${schema.type ?? 'any'}${rangeOf(schema.minimum, schema.maximum)}`;
}

/** @param {number | undefined} low @param {number | undefined} high */
function rangeOf(low, high, unit = '') {
  if (low === undefined && high === undefined) return '';
  if (high === undefined) return `, at least ${low}${unit}`;
  return low === undefined ? `, at most ${high}${unit}` : `, ${low} to ${high}${unit}`;
}

/** @param {string} uri */
function linkTo(uri) {
  const name = uri.split('/').at(-1) ?? '';
  return `[${name}](#${name.toLowerCase()})`;
}

/** @param {Json} schema @returns {string} A table of the members of an object. */
function membersOf(schema) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(/** @type {Record<string, Json>} */ (schema.properties ?? {})).map(([name, member]) => [
    `\`${name}\`${required.has(name) ? '' : '?'}`,
    typeOf(member),
    describe(member),
  ]);
  return table(['Member', 'Type', 'Meaning'], rows);
}

/** @param {Json} schema */
function describe(schema) {
  const value = schema.default === undefined ? [] : [`default: \`${JSON.stringify(schema.default)}\``];
  return [...(schema.description ? [schema.description] : []), ...value].join('; ');
}

/** @param {Json} schema @returns {string} */
function schemaText(schema) {
  const text = schema.description ? `${schema.description}.\n\n` : '';
  if (schema.properties) return text + membersOf(schema);
  const options = schema.oneOf ?? schema.anyOf;
  if (!options) return `${text}${typeOf(schema)}`;
  return (
    text +
    options
      .map((/** @type {Json} */ option) => (option.properties ? variant(option) : `- ${typeOf(option)}`))
      .join('\n')
  );
}

/** @param {Json} schema One of several messages, distinguished by \`type\`. */
function variant({ properties, required = [] }) {
  const { type, ...rest } = properties;
  const members = Object.entries(rest).map(
    ([name, member]) => `\`${name}\`${required.includes(name) ? '' : '?'} (${typeOf(member)})`,
  );
  return `- \`${type?.const}\`${members.length > 0 ? `: ${members.join(', ')}` : ''}`;
}

/** @param {Json} operation */
function accessOf({ security }) {
  if (security.length === 0) return 'anyone';
  return security
    .map((/** @type {Json} */ { apiKey, sessionToken }) => {
      if (apiKey)
        return apiKey.length > 0
          ? `API key with ${apiKey.map((/** @type {string} */ s) => `\`${s}\``).join(' or ')}`
          : 'any API key';
      return sessionToken ? `session token with \`${sessionToken[0]}\`` : 'anyone where `PUBLIC_DEMO` allows demos';
    })
    .join('; ');
}

/** @param {Json} operation @param {string} method @param {string} path */
function operationText(operation, method, path) {
  const lines = [
    `### \`${method.toUpperCase()} ${path}\``,
    '',
    `${operation.summary}. ${operation.description ?? ''}`.trim(),
    '',
  ];
  lines.push(`- Service: ${operation.tags.join(', ')}`, `- Access: ${accessOf(operation)}`);
  for (const [type, { schema }] of Object.entries(operation.requestBody?.content ?? {}))
    lines.push(`- Body: ${bodyOf(type, schema)}`);
  for (const [status, answer] of Object.entries(operation.responses)) {
    if (Number(status) < 400) lines.push(`- ${status}: ${answerText(answer)}`);
  }
  const codes = codesOf(operation).filter((code) => !EVERYWHERE.has(code));
  if (codes.length > 0) lines.push(`- Errors: ${codes.map((code) => `\`${code}\``).join(', ')}`);
  const rows = operation.parameters.map((/** @type {Json} */ p) => [
    `\`${p.name}\`${p.required ? '' : '?'}`,
    p.in,
    typeOf(p.schema),
    describe({ ...p.schema, description: p.description }),
  ]);
  if (rows.length > 0) lines.push('', table(['Parameter', 'In', 'Type', 'Meaning'], rows));
  return lines.join('\n');
}

/** @param {string} type @param {Json} schema */
function bodyOf(type, schema) {
  return type === 'application/json' ? typeOf(schema) : `\`${type}\`${schema.properties ? `, ${typeOf(schema)}` : ''}`;
}

/** @param {Json} answer */
function answerText({ description, content = {}, headers = {} }) {
  const bodies = Object.entries(content).map(([type, { schema }]) => bodyOf(type, schema));
  const names = Object.keys(headers).map((name) => `\`${name}\``);
  return [description, ...bodies, ...(names.length > 0 ? [`headers ${names.join(', ')}`] : [])].join('; ');
}

/** @param {Json} operation @returns {string[]} */
function codesOf({ responses }) {
  return Object.values(responses).flatMap(
    ({ content }) => content?.['application/problem+json']?.schema.allOf[1].properties.code.enum ?? [],
  );
}

runMain(async () => {
  /** @type {{ openApiDocument(): Json }} */
  const { openApiDocument } = await import(join(ROOT, 'packages/protocol/dist/openapi.js'));
  const document = JSON.parse(JSON.stringify(openApiDocument()));
  writePage('docs/openapi.json', `${JSON.stringify(document, null, 1)}\n`);
  const operations = Object.entries(/** @type {Record<string, Json>} */ (document['paths'])).flatMap(
    ([path, methods]) => Object.entries(methods).map(([method, operation]) => operationText(operation, method, path)),
  );
  const schemas = Object.entries(/** @type {Record<string, Json>} */ (document['components'].schemas)).map(
    ([name, schema]) => `### ${name}\n\n${schemaText(schema)}`,
  );
  writePage('docs/api.md', `${[INTRO.trim(), '## Endpoints', ...operations, '## Schemas', ...schemas].join('\n\n')}\n`);
});
