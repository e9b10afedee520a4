/** The parts of an offer that a {@link Receiver} needs. */
export interface Offer {
  readonly usernameFragment: string;
  readonly password: string;
  readonly fingerprint: { readonly algorithm: string; readonly value: string };
  /** Candidates without `a=candidate:`. */
  readonly candidates: readonly string[];
  readonly tracks: readonly OfferedTrack[];
}

export interface OfferedTrack {
  readonly kind: 'audio' | 'video';
  readonly mid: string;
  /** SSRC of the media, the section's first; not of its retransmissions. */
  readonly ssrc: number;
  /** Payload type of the codec offered first. */
  readonly payloadType: number;
  /** Codec and clock rate in lower case: `vp8/90000`. */
  readonly encoding: string;
  readonly parameters: string | undefined;
}

/** The receiver's own transport parameters. */
export interface LocalDescription {
  readonly usernameFragment: string;
  readonly password: string;
  /** SHA-256, upper-case hexadecimal with colons. */
  readonly fingerprint: string;
}

/** @throws Error if a required line is missing. */
export function readOffer(sdp: string): Offer {
  const lines = sdp.split(/\r?\n/);
  const [algorithm = '', value = ''] = needed(lines, 'a=fingerprint:').split(' ');
  return {
    usernameFragment: needed(lines, 'a=ice-ufrag:'),
    password: needed(lines, 'a=ice-pwd:'),
    fingerprint: { algorithm, value },
    candidates: [...new Set(values(lines, 'a=candidate:'))],
    tracks: sections(lines).flatMap(readTrack),
  };
}

function readTrack(lines: readonly string[]): OfferedTrack[] {
  const [media = '', , , payloadType = ''] = (lines[0] ?? '').slice('m='.length).split(' ');
  if (media !== 'audio' && media !== 'video') return [];
  return [
    {
      kind: media,
      mid: needed(lines, 'a=mid:'),
      ssrc: Number.parseInt(needed(lines, 'a=ssrc:'), 10),
      payloadType: Number(payloadType),
      encoding: needed(lines, `a=rtpmap:${payloadType} `).toLowerCase(),
      parameters: values(lines, `a=fmtp:${payloadType} `)[0],
    },
  ];
}

function sections(lines: readonly string[]): string[][] {
  const all: string[][] = [];
  for (const line of lines) {
    if (line.startsWith('m=')) all.push([]);
    all.at(-1)?.push(line);
  }
  return all;
}

function values(lines: readonly string[], prefix: string): string[] {
  return lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
}

function needed(lines: readonly string[], prefix: string): string {
  const [value] = values(lines, prefix);
  if (value === undefined) throw new Error(`the offer has no ${prefix}`);
  return value;
}

/** Answers with both tracks, each in its first codec, as DTLS client. Offers no feedback, so nothing is retransmitted. */
export function answerTo(offer: Offer, local: LocalDescription): string {
  const lines = [
    'v=0',
    'o=- 1 1 IN IP4 0.0.0.0',
    's=-',
    't=0 0',
    `a=group:BUNDLE ${offer.tracks.map(({ mid }) => mid).join(' ')}`,
    ...offer.tracks.flatMap((track) => [
      `m=${track.kind} 9 UDP/TLS/RTP/SAVPF ${track.payloadType}`,
      'c=IN IP4 0.0.0.0',
      `a=mid:${track.mid}`,
      'a=recvonly',
      'a=rtcp-mux',
      `a=ice-ufrag:${local.usernameFragment}`,
      `a=ice-pwd:${local.password}`,
      `a=fingerprint:sha-256 ${local.fingerprint}`,
      'a=setup:active',
      `a=rtpmap:${track.payloadType} ${track.encoding}`,
      ...(track.parameters === undefined ? [] : [`a=fmtp:${track.payloadType} ${track.parameters}`]),
    ]),
  ];
  return `${lines.join('\r\n')}\r\n`;
}
