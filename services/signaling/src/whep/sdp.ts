import type { Candidate } from '@humancast/protocol';

/** Candidates taken from one request; a player has a handful. */
const CANDIDATE_LIMIT = 64;
const CANDIDATE_LENGTH_LIMIT = 512;

/** What an SDP fragment adds to an ICE session (RFC 8840 §9). */
export interface IceFragment {
  ufrag: string | undefined;
  candidates: Candidate[];
}

/** The ICE user name of a description, which names its ICE session; `undefined` when there is none (RFC 8839 §5.4). */
export function iceUfragOf(sdp: string): string | undefined {
  return /^a=ice-ufrag:(\S+)/m.exec(sdp)?.[1];
}

/** Whether this can be a description at all: it has a version, an origin and media (RFC 8866 §5). */
export function looksLikeSdp(text: string): boolean {
  return /^v=0\r?\n/.test(text) && /^o=\S/m.test(text) && /^m=/m.test(text);
}

/**
 * An `application/trickle-ice-sdpfrag` body. Candidates belong to the `a=mid` before them. → `undefined` when it is
 * malformed: a line that is no SDP line, or candidates that belong to nothing.
 */
export function parseIceFragment(text: string): IceFragment | undefined {
  const fragment: IceFragment = { ufrag: undefined, candidates: [] };
  let mid: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (line === '') continue;
    if (!/^[a-z]=/.test(line)) return undefined;
    if (line.startsWith('m=')) mid = undefined;
    mid = attributeOf(line, 'mid:')?.slice(0, 16) ?? mid;
    fragment.ufrag ??= attributeOf(line, 'ice-ufrag:');
    if (attributeOf(line, 'candidate:') === undefined) continue;
    if (mid === undefined) return undefined;
    fragment.candidates.push({ candidate: line.slice('a='.length), sdpMid: mid });
  }
  const usable = fragment.candidates.filter(({ candidate }) => candidate.length <= CANDIDATE_LENGTH_LIMIT);
  return { ...fragment, candidates: usable.slice(0, CANDIDATE_LIMIT) };
}

function attributeOf(line: string, attribute: string): string | undefined {
  const start = `a=${attribute}`;
  return line.startsWith(start) ? line.slice(start.length) : undefined;
}
