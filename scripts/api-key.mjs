// Creates, lists, rotates and revokes API keys in a file that contains only their hashes. Services apply changes within a
// second. Plain JavaScript without packages, so that it also runs in a container.
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, chownSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const HELP = `Usage: node scripts/api-key.mjs [--file FILE] new NAME [--scopes LIST] [--avatars LIST]
                                             list | rotate NAME | revoke NAME [--old]

  new NAME       creates a key and prints it once; only its hash is stored
  list           lists names, creation days, scopes and avatars
  rotate NAME    creates a successor with the same scopes and prints it; of the older keys, only the newest stays valid
  revoke NAME    revokes its keys within a second; with --old, all but the newest

  --scopes LIST   comma-separated scopes (default: sessions,media)
                    sessions   create sessions; control and end those created with keys of this name
                    media      upload, push, change and delete segments and avatars
                    speak      push into any session, and delete its own pushed segments
                    operate    list, interrupt and end every session; list and drain media-senders
  --avatars LIST  comma-separated avatars that it may use (default: * for all)
  --file FILE     key file (default: API_KEY_FILE, or .humancast/api-keys)
`;
const NAME = /^[\w.@-]{1,64}$/;
const AVATAR = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const SCOPES = ['sessions', 'media', 'speak', 'operate'];
const HEADING = '# API keys, by their hashes; maintained by api-key.mjs\n';

/**
 * @typedef {{ text: string, name?: string | undefined, scopes?: string, avatars?: string, day?: string | undefined }} Line
 * @typedef {{ file: string, scopes: string, avatars: string, old: boolean }} Options
 */

/** @type {Record<string, (options: Options, name: string) => string>} */
const COMMANDS = { new: create, rotate, revoke };

try {
  console.log(main());
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

function main() {
  const { values, positionals } = parseArgs({
    options: {
      file: { type: 'string', default: process.env['API_KEY_FILE'] ?? '.humancast/api-keys' },
      scopes: { type: 'string', default: 'sessions,media' },
      avatars: { type: 'string', default: '*' },
      old: { type: 'boolean', default: false },
      help: { type: 'boolean' },
    },
    allowPositionals: true,
  });
  const [command = '', name, ...rest] = positionals;
  if (values.help || rest.length > 0) return HELP;
  if (command === 'list' && name === undefined) return list(values.file);
  const run = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (!run || name === undefined || !NAME.test(name) || name === 'sha256') throw new Error(HELP);
  return run(values, name);
}

/** @param {Options} options @param {string} name */
function create({ file, scopes, avatars }, name) {
  const lines = read(file);
  if (lines.some((line) => line.name === name)) throw new Error(`a key named "${name}" already exists`);
  if (!isListOf(scopes, (scope) => SCOPES.includes(scope)))
    throw new Error(`--scopes must be * or some of ${SCOPES.join()}`);
  if (!isListOf(avatars, (avatar) => AVATAR.test(avatar)))
    throw new Error('--avatars must be * or comma-separated ids');
  return add(file, lines, name, scopes, avatars);
}

/** @param {Options} options @param {string} name */
function rotate({ file }, name) {
  const lines = read(file);
  const current = lines.findLast((line) => line.name === name);
  if (!current) throw new Error(`no key is named "${name}"`);
  const kept = lines.filter((line) => line.name !== name || line === current);
  return add(file, kept, name, current.scopes ?? '*', current.avatars ?? '*');
}

/** @param {Options} options @param {string} name */
function revoke({ file, old }, name) {
  const lines = read(file);
  const newest = lines.findLast((line) => line.name === name);
  if (!newest) throw new Error(`no key is named "${name}"`);
  write(
    file,
    lines.filter((line) => line.name !== name || (old && line === newest)),
  );
  return `revoked ${old ? 'older keys of ' : ''}${name}`;
}

/** @param {string} file */
function list(file) {
  return read(file)
    .filter(({ name }) => name !== undefined)
    .map(({ name, day, scopes, avatars }) => [name, day, scopes, avatars].join('\t'))
    .join('\n');
}

/** @param {string} file @param {Line[]} lines @param {string} name @param {string} scopes @param {string} avatars */
function add(file, lines, name, scopes, avatars) {
  const key = randomBytes(24).toString('base64url');
  const hash = createHash('sha256').update(key).digest('hex');
  const day = new Date().toISOString().slice(0, 10);
  write(file, [...lines, { text: `${name}:sha256:${hash} ${scopes} ${avatars} # ${day}` }]);
  return key;
}

/** @param {string} text @param {(item: string) => boolean} isItem */
function isListOf(text, isItem) {
  return text === '*' || text.split(',').every(isItem);
}

/**
 * Other lines are kept unchanged. Lines without scopes, `sha256:HEX # NAME DAY`, have all scopes.
 * @param {string} file
 * @returns {Line[]}
 */
function read(file) {
  const lines = existsSync(file) ? readFileSync(file, 'utf8') : HEADING;
  return lines
    .trimEnd()
    .split('\n')
    .map((text) => {
      const ours = /^([\w.@-]+):sha256:[0-9a-f]{64} (\S+) (\S+) # (\S+)$/.exec(text);
      if (ours) return { text, name: ours[1], scopes: ours[2] ?? '*', avatars: ours[3] ?? '*', day: ours[4] };
      const old = /^sha256:[0-9a-f]{64} # (\S+) (\S+)$/.exec(text);
      return old ? { text, name: old[1], scopes: '*', avatars: '*', day: old[2] } : { text };
    });
}

/** Replaces the file atomically, with the same owner and mode. @param {string} file @param {{ text: string }[]} lines */
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
