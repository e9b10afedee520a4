import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Finds the avatar to open first: `demo`, or the first in the watched folder with media.
 * @param {string} mediaDir
 * @returns {string | undefined}
 */
export function firstAvatar(mediaDir) {
  if (!existsSync(mediaDir)) return undefined;
  const avatars = readdirSync(mediaDir)
    .filter((name) => isFilled(join(mediaDir, name, 'idle')))
    .sort();
  return avatars.includes('demo') ? 'demo' : avatars[0];
}

/** @param {string} folder */
const isFilled = (folder) => existsSync(folder) && readdirSync(folder).length > 0;

/**
 * Waits until an avatar has a loaded idle clip, so that its page plays at once.
 * @param {string} url of the avatar at segment-loader
 * @param {string} apiKey
 * @param {{ timeoutMs: number, isOver: () => boolean }} options
 * @returns {Promise<boolean>} whether it has one
 */
export async function waitForIdle(url, apiKey, { timeoutMs, isOver }) {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline && !isOver()) {
    if (await hasIdle(url, apiKey)) return true;
    await sleep(200);
  }
  return false;
}

/** @param {string} url @param {string} apiKey */
async function hasIdle(url, apiKey) {
  try {
    const headers = { authorization: `Bearer ${apiKey}` };
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(2000) });
    const { idlePlaylist } = /** @type {{ idlePlaylist?: unknown[] }} */ (await response.json());
    return response.ok && (idlePlaylist?.length ?? 0) > 0;
  } catch {
    return false;
  }
}
