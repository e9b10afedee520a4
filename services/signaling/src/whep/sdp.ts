/** ICE session information in an SDP fragment (RFC 8840 §9). */
export interface IceFragment {
  ufrag: string | undefined;
  password: string | undefined;
}

/**
 * @returns The ICE user name of a description, which identifies its ICE session; `undefined` if there is none (RFC 8839
 * §5.4).
 */
export function iceUfragOf(sdp: string): string | undefined {
  return /^a=ice-ufrag:(\S+)/m.exec(sdp)?.[1];
}

/** @returns Whether this can be a session description: it has a version, an origin and media (RFC 8866 §5). */
export function looksLikeSdp(text: string): boolean {
  return /^v=0\r?\n/.test(text) && /^o=\S/m.test(text) && /^m=/m.test(text);
}

/**
 * Parses an `application/trickle-ice-sdpfrag` body. Candidates belong to the `a=mid` before them.
 * @returns `undefined` if it is malformed: a line that is not SDP, or a candidate without a media section.
 */
export function parseIceFragment(text: string): IceFragment | undefined {
  const fragment: IceFragment = { ufrag: undefined, password: undefined };
  let hasMid = false;
  for (const line of text.split(/\r?\n/)) {
    if (line === '') continue;
    if (!/^[a-z]=/.test(line)) return undefined;
    if (line.startsWith('m=')) hasMid = false;
    if (line.startsWith('a=mid:')) hasMid = true;
    if (line.startsWith('a=candidate:') && !hasMid) return undefined;
    if (line.startsWith('a=ice-ufrag:')) fragment.ufrag ??= line.slice('a=ice-ufrag:'.length).trim();
    if (line.startsWith('a=ice-pwd:')) fragment.password ??= line.slice('a=ice-pwd:'.length).trim();
  }
  return fragment;
}
