import { readFile, stat } from 'node:fs/promises';

/** In an avatar's `idle/` folder: the order its clips are played in. */
export const PLAYLIST_NAMES = /^playlist\.m3u8?$/i;
const MAX_BYTES = 262_144;

/** A line that names a file. */
export interface PlaylistEntry {
  /** From 1. */
  readonly line: number;
  readonly entry: string;
}

/** @returns what a playlist file names, in playing order; or why it can't be read. */
export async function readPlaylist(path: string): Promise<readonly PlaylistEntry[] | string> {
  try {
    const stats = await stat(path);
    if (!stats.isFile()) return 'the playlist is no file';
    if (stats.size > MAX_BYTES) return `the playlist has ${stats.size} bytes; at most ${MAX_BYTES} are read`;
    return parsePlaylist(await readFile(path));
  } catch (error) {
    return `the playlist cannot be read: ${(error as NodeJS.ErrnoException).code}`;
  }
}

/** One file name a line. Empty lines and lines that begin with `#` (M3U's comments) are left out. */
export function parsePlaylist(bytes: Buffer): PlaylistEntry[] {
  return decodeText(bytes)
    .split(/\r\n|\n|\r/)
    .map((text, i) => ({ line: i + 1, entry: text.trim() }))
    .filter(({ entry }) => entry !== '' && !entry.startsWith('#'));
}

/**
 * UTF-8 or UTF-16, with a byte order mark or without; what is neither is Windows-1252, which has all of Latin-1. Where there is
 * no mark, UTF-16 is told by the zero bytes of its line ends and dots.
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
 * Finds the files that a playlist means: spelled the same, or in another Unicode form (macOS takes accents apart), in another
 * case, as a path (`./a.mp4`, `C:\\clips\\a.mp4`) or as an address (`file:///clips/a%20b.mp4`).
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

/** An entry, its last part where it is a path, and each of them with `%20` and the like undone. */
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
