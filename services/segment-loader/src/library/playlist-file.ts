import { readFile, stat } from 'node:fs/promises';

/** Names of the playlist file in an avatar's `idle/` folder. */
export const PLAYLIST_NAMES = /^playlist\.m3u8?$/i;
const MAX_BYTES = 262_144;

/** A playlist line that names a file. */
export interface PlaylistEntry {
  /** Line number, starting at 1. */
  readonly line: number;
  readonly entry: string;
}

/** @returns The file names of a playlist in playing order, or why it can't be read. */
export async function readPlaylist(path: string): Promise<readonly PlaylistEntry[] | string> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) return 'the playlist is not a regular file';
    if (stats.size > MAX_BYTES) return `the playlist has ${stats.size} bytes; the limit is ${MAX_BYTES}`;
    return parsePlaylist(await readFile(path));
  } catch (error) {
    return `the playlist cannot be read: ${(error as NodeJS.ErrnoException).code}`;
  }
}

/** Parses one file name per line; skips empty lines and lines that begin with `#` (M3U comments). */
export function parsePlaylist(bytes: Buffer): PlaylistEntry[] {
  return decodeText(bytes)
    .split(/\r\n|\n|\r/)
    .map((text, i) => ({ line: i + 1, entry: text.trim() }))
    .filter(({ entry }) => entry !== '' && !entry.startsWith('#'));
}

/**
 * Decodes UTF-8 and UTF-16, with or without a byte order mark, and everything else as Windows-1252, a superset of Latin-1.
 * Without a mark, zero bytes reveal UTF-16 and its byte order.
 */
function decodeText(bytes: Buffer): string {
  const [first = 0, second = 0] = bytes;
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes);
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes);
  const zeros = [0, 0];
  for (const [i, byte] of bytes.entries()) if (byte === 0) zeros[i % 2] = (zeros[i % 2] ?? 0) + 1;
  const [even = 0, odd = 0] = zeros;
  if (even + odd > 0) return new TextDecoder(odd > even ? 'utf-16le' : 'utf-16be').decode(bytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder('windows-1252').decode(bytes);
  }
}

export interface MatchedPlaylist {
  /** Names of files, as the folder spells them. */
  readonly found: readonly string[];
  readonly missing: readonly PlaylistEntry[];
}

/**
 * Finds the files that playlist entries refer to: by exact name, in another Unicode form (macOS decomposes accents) or case,
 * as a path (`./a.mp4`, `C:\\clips\\a.mp4`), or as a URL (`file:///clips/a%20b.mp4`).
 */
export function matchPlaylist(entries: readonly PlaylistEntry[], names: readonly string[]): MatchedPlaylist {
  const exact = new Set(names);
  const composed = new Map(names.map((name) => [name.normalize('NFC'), name]));
  const folded = new Map(names.map((name) => [name.normalize('NFKC').toLowerCase(), name]));
  const nameOf = (entry: string) => {
    if (exact.has(entry)) return entry;
    const spellings = spellingsOf(entry);
    return (
      spellings.map((each) => composed.get(each.normalize('NFC'))).find((name) => name !== undefined) ??
      spellings.map((each) => folded.get(each.normalize('NFKC').toLowerCase())).find((name) => name !== undefined)
    );
  };
  const found: string[] = [];
  const missing: PlaylistEntry[] = [];
  for (const each of entries) {
    const name = nameOf(each.entry);
    if (name === undefined) missing.push(each);
    else found.push(name);
  }
  return { found, missing };
}

/** @returns The entry and the last part of its path, each also with percent-encoding decoded. */
function spellingsOf(entry: string): string[] {
  const bare = entry.replace(/^"(.*)"$/, '$1');
  const last = bare.split(/[\\/]/).at(-1) ?? bare;
  return [bare, last].flatMap((text) => [text, unescaped(text)]);
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
