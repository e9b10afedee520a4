// Generates docs/errors.md from the table of errors.
import { join } from 'node:path';
import { runMain } from '../lib/output.mjs';
import { table, writePage } from '../lib/page.mjs';
import { ROOT } from '../lib/run.mjs';

const INTRO = `# Errors

<!-- Made by \`npm run docs\` out of packages/protocol/src/errors.ts; changes belong there. -->

Every error has a code, which does not change once released: branch on the code, and show the text to users.

Over HTTP an error is a problem document (RFC 9457, \`application/problem+json\`):

\`\`\`json
{
  "type": "https://humancast.dev/errors#segment_not_found",
  "title": "No segment has this id",
  "status": 404,
  "code": "segment_not_found",
  "detail": "no segment has the id seg_1x2y3z4w5v6u",
  "segment": "seg_1x2y3z4w5v6u"
}
\`\`\`

\`Retry-After\`, if present, is the time until a retry makes sense. Over a WebSocket an error is
\`{"type":"error","code","message"}\`; when it ends the connection, the close code is 4000 plus the HTTP status.
`;

runMain(async () => {
  /** @type {Pick<typeof import('@humancast/protocol'), 'ERRORS' | 'closeCodeOf'>} */
  const { ERRORS, closeCodeOf } = await import(join(ROOT, 'packages/protocol/dist/errors.js'));
  const codes = /** @type {(keyof typeof ERRORS)[]} */ (Object.keys(ERRORS));
  const rows = codes.map((code) => [
    `<a id="${code}"></a>\`${code}\``,
    String(ERRORS[code].status),
    String(closeCodeOf(code)),
    ERRORS[code].title,
  ]);
  writePage('docs/errors.md', `${INTRO}\n${table(['Code', 'HTTP', 'WebSocket', 'What it means'], rows)}\n`);
});
