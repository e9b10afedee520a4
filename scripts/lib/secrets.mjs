import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Secrets of this machine's stack, each in a file that only its owner can read. `api-keys` contains hashes, see api-key.mjs. */
const SECRETS = /** @type {const} */ (['api-key', 'say-key', 'token-secret', 'turn-secret']);

/**
 * Creates missing secrets, and never changes existing ones.
 * @param {string} folder
 * @returns {{ files: Record<typeof SECRETS[number] | 'api-keys', string>, made: boolean }} their paths, and whether any is new
 */
export function ensureSecrets(folder) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const missing = SECRETS.filter((name) => !existsSync(join(folder, name)));
  for (const name of missing) writeSecret(join(folder, name), `${randomBytes(24).toString('base64url')}\n`);
  const secrets = /** @type {Record<typeof SECRETS[number], string>} */ (
    Object.fromEntries(SECRETS.map((name) => [name, join(folder, name)]))
  );
  const files = { ...secrets, 'api-keys': join(folder, 'api-keys') };
  const isNew = !existsSync(files['api-keys']);
  // The owner's key, and the demo producer's.
  if (isNew || missing.includes('api-key')) admitKey(files['api-keys'], 'owner', '*', files['api-key']);
  if (isNew || missing.includes('say-key')) admitKey(files['api-keys'], 'demo-producer', 'speak', files['say-key']);
  return { files, made: missing.length > 0 };
}

/**
 * Adds a key to the API keys, replacing those of the same name.
 * @param {string} listFile @param {string} name @param {string} scopes @param {string} keyFile
 */
function admitKey(listFile, name, scopes, keyFile) {
  const hash = createHash('sha256').update(readSecret(keyFile)).digest('hex');
  const lines = existsSync(listFile) ? readFileSync(listFile, 'utf8').split('\n') : [];
  const others = lines.filter((line) => line !== '' && !line.startsWith(`${name}:`));
  const line = `${name}:sha256:${hash} ${scopes} * # ${new Date().toISOString().slice(0, 10)}`;
  writeSecret(`${listFile}.new`, `${[...others, line].join('\n')}\n`);
  renameSync(`${listFile}.new`, listFile);
}

/** Writes a file that only its owner can read from the start. @param {string} path @param {string} text */
export function writeSecret(path, text) {
  writeFileSync(path, text, { mode: 0o600 });
  chmodSync(path, 0o600);
}

/** @param {string} path */
export function readSecret(path) {
  return readFileSync(path, 'utf8').trim();
}
