import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Secrets of this machine's stack, each a file that only its owner can read. `api-keys` holds hashes: see api-key.mjs. */
const SECRETS = /** @type {const} */ (['api-key', 'token-secret', 'turn-secret']);

/**
 * Makes what is not there yet, and never changes what is.
 * @param {string} folder
 * @returns {{ files: Record<typeof SECRETS[number] | 'api-keys', string>, made: boolean }} their paths; whether any is new
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
  if (missing.includes('api-key') || !existsSync(files['api-keys'])) admitKey(files['api-key'], files['api-keys']);
  return { files, made: missing.length > 0 };
}

/** The key of this machine's owner becomes one of the API keys. @param {string} keyFile @param {string} listFile */
function admitKey(keyFile, listFile) {
  const hash = createHash('sha256').update(readSecret(keyFile)).digest('hex');
  appendFileSync(listFile, `sha256:${hash} # owner ${new Date().toISOString().slice(0, 10)}\n`, { mode: 0o600 });
}

/** A file that nobody else can read, from its first byte on. @param {string} path @param {string} text */
export function writeSecret(path, text) {
  writeFileSync(path, text, { mode: 0o600 });
  chmodSync(path, 0o600);
}

/** @param {string} path */
export function readSecret(path) {
  return readFileSync(path, 'utf8').trim();
}
