// Producers' API keys: makes, lists and revokes them in a file that holds nothing but their hashes. Services see the change
// within a second. Plain JavaScript without packages: it also runs in a container of its own.
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const HELP = `Usage: node scripts/api-key.mjs [--file FILE] new NAME | list | revoke NAME

  new NAME       makes a key and shows it, once: only its hash is kept
  list           names, with the day each was made
  revoke NAME    the key is not accepted any more, within a second

  --file FILE    where they are (API_KEY_FILE, or .humancast/api-keys)
`;
const NAME = /^[\w.@-]{1,64}$/;
const HEADING = '# API keys, by their hashes; maintained by api-key.mjs\n';

try {
  console.log(main());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

function main() {
  const { values, positionals } = parseArgs({
    options: { file: { type: 'string' }, help: { type: 'boolean' } },
    allowPositionals: true,
  });
  const file = values.file ?? process.env['API_KEY_FILE'] ?? '.humancast/api-keys';
  const [command, name, ...rest] = positionals;
  if (values.help || rest.length > 0) return HELP;
  if (command === 'list' && name === undefined) return list(file);
  if (name === undefined || !NAME.test(name)) throw new Error(HELP);
  if (command === 'new') return create(file, name);
  if (command === 'revoke') return revoke(file, name);
  throw new Error(HELP);
}

/** @param {string} file @param {string} name */
function create(file, name) {
  const lines = read(file);
  if (lines.some((line) => line.name === name)) throw new Error(`there is a key called "${name}" already`);
  const key = randomBytes(24).toString('base64url');
  const hash = createHash('sha256').update(key).digest('hex');
  const day = new Date().toISOString().slice(0, 10);
  write(file, [...lines, { text: `sha256:${hash} # ${name} ${day}`, name, day }]);
  return key;
}

/** @param {string} file */
function list(file) {
  return read(file)
    .filter(({ name }) => name !== undefined)
    .map(({ name, day }) => `${name}\t${day}`)
    .join('\n');
}

/** @param {string} file @param {string} name */
function revoke(file, name) {
  const lines = read(file);
  const left = lines.filter((line) => line.name !== name);
  if (left.length === lines.length) throw new Error(`no key is called "${name}"`);
  write(file, left);
  return `revoked ${name}`;
}

/**
 * Lines that are not ours are kept as they are.
 * @param {string} file
 * @returns {{ text: string, name?: string | undefined, day?: string | undefined }[]}
 */
function read(file) {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : HEADING;
  return text
    .trimEnd()
    .split('\n')
    .map((line) => {
      const [, name, day] = /^sha256:[0-9a-f]{64} # (\S+) (\S+)$/.exec(line) ?? [];
      return { text: line, name, day };
    });
}

/** At once or not at all, for the same readers as before. @param {string} file @param {{ text: string }[]} lines */
function write(file, lines) {
  const fresh = `${file}.new`;
  writeFileSync(fresh, `${lines.map(({ text }) => text).join('\n')}\n`, { mode: 0o600 });
  if (existsSync(file)) {
    const { mode, uid, gid } = statSync(file);
    chownSync(fresh, uid, gid);
    chmodSync(fresh, mode & 0o777);
  }
  renameSync(fresh, file);
}
