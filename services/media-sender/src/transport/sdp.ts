import { type Codec, SDP_LIMIT_BYTES } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';
import { ABS_SEND_TIME_URI, TRANSPORT_SEQUENCE_URI } from '../rtp/congestion-extension.js';
import type { Fingerprint } from './dtls.js';
import type { IceCredentials } from './stun.js';
import type { MediaKind } from './viewer-transport.js';

/** A session description (RFC 8866), as far as a sender needs WebRTC's offers and answers (RFC 8829). */
export interface RemoteDescription {
  readonly media: readonly RemoteMedia[];
  /** `mid`s of the BUNDLE group. */
  readonly bundle: readonly string[];
}

export interface RemoteMedia {
  /** `audio`, `video`, or another kind. */
  readonly kind: string;
  /** Protocol and first format of the `m=` line, needed to reject the section. */
  readonly protocol: string;
  readonly firstFormat: string;
  readonly rejected: boolean;
  /** Empty if the section has none. */
  readonly mid: string;
  readonly setup: string | undefined;
  readonly receives: boolean;
  readonly sends: boolean;
  /** SSRCs that the section names (RFC 5576 §4.1), at most {@link MAX_SSRCS}. */
  readonly ssrcs: readonly number[];
  /** `a=rtcp-rsize`: reduced-size RTCP is allowed (RFC 5506). */
  readonly reducedSize: boolean;
  readonly fingerprints: readonly Fingerprint[];
  readonly ice: IceCredentials | undefined;
  /** Ids of the supported header extensions, by URI (RFC 8285 §5). */
  readonly extensions: ReadonlyMap<string, number>;
  /** In the viewer's order of preference. */
  readonly formats: readonly RemoteFormat[];
}

interface RemoteFormat {
  readonly payloadType: number;
  /** Lower case, with clock rate: `vp8/90000`. */
  readonly encoding: string;
  /** By key in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
  /** The viewer's `a=rtcp-fb`: `nack`, `nack pli`, … (RFC 4585 §4.2). */
  readonly feedback: readonly string[];
}

/**
 * Limits far above browsers' descriptions: Chromium's offer of everything it supports has 7 kB, 300 lines, 3 sections and 45
 * formats.
 */
const MAX_LINES = 2048;
const MAX_SECTIONS = 32;
const MAX_FORMATS = 128;
const MAX_SSRCS = 16;
/** Matches values that are copied into our own description: a token (RFC 8866 §9), or a protocol with slashes. */
const ECHOED = /^[\w!#$%&'*+.^`{|}~/-]{1,64}$/;
/** RFC 8839 §5.4. */
const ICE_FRAGMENT = /^[A-Za-z0-9+/]{4,256}$/;
const ICE_PASSWORD = /^[A-Za-z0-9+/]{22,256}$/;

/**
 * Parses a description in time linear in its length; any text is allowed.
 * @throws HumancastError `bad_sdp`.
 */
export function parseDescription(sdp: string): RemoteDescription {
  if (Buffer.byteLength(sdp) > SDP_LIMIT_BYTES)
    throw new HumancastError('bad_sdp', `the session description is longer than ${SDP_LIMIT_BYTES} bytes`);
  const [session = [], ...sections] = splitSections(sdp);
  if (!session[0]?.startsWith('v=0')) throw new HumancastError('bad_sdp', 'a session description starts with v=0');
  if (sections.length === 0) throw new HumancastError('bad_sdp', 'the session description has no media');
  const shared = attributesOf(session);
  const group = (shared.get('group') ?? []).find((value) => /^BUNDLE(?= |$)/.test(value));
  const bundle = group?.split(' ').slice(1) ?? [];
  const own = sections.map((lines) => ({ line: lines[0] ?? '', attributes: attributesOf(lines) }));
  // The section with the first mid of a bundle describes the transport (RFC 8843 §7.1.3); other sections may leave it out.
  const tagged = own.find(({ attributes }) => bundle[0] !== undefined && attributes.get('mid')?.[0] === bundle[0]);
  const media = own.map(({ line, attributes }) => {
    const isInBundle = bundle.includes(attributes.get('mid')?.[0] ?? '');
    return parseMedia(line, attributes, [...(isInBundle && tagged ? [tagged.attributes] : []), shared]);
  });
  return { media, bundle };
}

/** @returns whether these sections share one transport (RFC 8843). */
export function isBundled({ bundle }: RemoteDescription, mids: readonly string[]): boolean {
  return mids.every((mid) => bundle.includes(mid));
}

/** Collects attribute values by name, in the order of the lines; an attribute without a value has an empty one. */
type Attributes = ReadonlyMap<string, readonly string[]>;

function splitSections(sdp: string): string[][] {
  const sections: string[][] = [[]];
  const lines = sdp.split(/\r?\n/, MAX_LINES + 1);
  if (lines.length > MAX_LINES)
    throw new HumancastError('bad_sdp', `the session description has more than ${MAX_LINES} lines`);
  for (const line of lines) {
    if (line.startsWith('m=')) sections.push([]);
    if (line !== '') sections.at(-1)?.push(line);
  }
  if (sections.length > MAX_SECTIONS + 1) {
    throw new HumancastError('bad_sdp', `the session description has more than ${MAX_SECTIONS} media sections`);
  }
  return sections;
}

function attributesOf(lines: readonly string[]): Attributes {
  const attributes = new Map<string, string[]>();
  for (const line of lines) {
    if (!line.startsWith('a=')) continue;
    const colon = line.indexOf(':');
    const name = line.slice(2, colon < 0 ? undefined : colon).trim();
    const value = colon < 0 ? '' : line.slice(colon + 1).trim();
    const values = attributes.get(name);
    if (values) values.push(value);
    else attributes.set(name, [value]);
  }
  return attributes;
}

/** @param outer attributes of the transport that apply if the section does not have them. */
function parseMedia(line: string, own: Attributes, outer: readonly Attributes[]): RemoteMedia {
  const [kind = '', port, protocol = '', ...payloadTypes] = line.slice('m='.length).split(/ +/, MAX_FORMATS + 4);
  const mid = own.get('mid')?.[0] ?? '';
  const firstFormat = payloadTypes[0] || '0';
  if (port === undefined || ![kind, protocol, firstFormat].every((token) => ECHOED.test(token))) {
    throw new HumancastError('bad_sdp', `not a media line: ${line.slice(0, 80)}`);
  }
  if (payloadTypes.length > MAX_FORMATS)
    throw new HumancastError('bad_sdp', `a media section has more than ${MAX_FORMATS} formats`);
  if (mid !== '' && !ECHOED.test(mid)) throw new HumancastError('bad_sdp', 'a=mid is not a token');
  const valuesOf = (name: string) => [own, ...outer].find((attributes) => attributes.has(name))?.get(name) ?? [];
  return {
    kind,
    protocol,
    firstFormat,
    rejected: port === '0' && !own.has('bundle-only'),
    mid,
    setup: valuesOf('setup')[0],
    ...(directionOf(own) ?? directionOf(outer.at(-1)) ?? { receives: true, sends: true }),
    ssrcs: parseSsrcs(own.get('ssrc')),
    reducedSize: own.has('rtcp-rsize'),
    fingerprints: valuesOf('fingerprint').map(parseFingerprint),
    ice: parseIce(valuesOf('ice-ufrag')[0], valuesOf('ice-pwd')[0]),
    extensions: parseExtensions(own.get('extmap')),
    formats: parseFormats(payloadTypes, own),
  };
}

/** Parses `<id>[/<direction>] <URI> …`: ids that fit in a one-byte header, each once. */
function parseExtensions(values: readonly string[] = []): ReadonlyMap<string, number> {
  const extensions = new Map<string, number>();
  for (const value of values) {
    const [, id = '', uri = ''] = /^(\d{1,5})(?:\/\w+)? +(\S+)/.exec(value) ?? [];
    const isFree = ![...extensions.values()].includes(Number(id));
    if (EXTENSION_IDS.has(uri) && Number(id) >= 1 && Number(id) <= 14 && isFree) extensions.set(uri, Number(id));
  }
  return extensions;
}

/** Header extension ids in our own offers. */
export const EXTENSION_IDS: ReadonlyMap<string, number> = new Map([
  [ABS_SEND_TIME_URI, 2],
  [TRANSPORT_SEQUENCE_URI, 3],
]);

/** @returns `undefined` if there is no direction attribute. */
function directionOf(attributes: Attributes | undefined): Pick<RemoteMedia, 'receives' | 'sends'> | undefined {
  if (attributes?.has('sendrecv')) return { receives: true, sends: true };
  if (attributes?.has('recvonly')) return { receives: true, sends: false };
  if (attributes?.has('sendonly')) return { receives: false, sends: true };
  return attributes?.has('inactive') ? { receives: false, sends: false } : undefined;
}

function parseSsrcs(values: readonly string[] = []): number[] {
  const ssrcs = new Set<number>();
  for (const value of values) {
    const ssrc = Number.parseInt(value, 10);
    if (ssrc >= 0 && ssrc <= 0xffff_ffff && ssrcs.size < MAX_SSRCS) ssrcs.add(ssrc);
  }
  return [...ssrcs];
}

function parseFingerprint(text: string): Fingerprint {
  const [algorithm = '', value = ''] = text.split(' ', 2);
  return { algorithm, value };
}

function parseIce(usernameFragment = '', password = ''): IceCredentials | undefined {
  return ICE_FRAGMENT.test(usernameFragment) && ICE_PASSWORD.test(password)
    ? { usernameFragment, password }
    : undefined;
}

function parseFormats(payloadTypes: readonly string[], attributes: Attributes): RemoteFormat[] {
  const encodings = byPayloadType(attributes.get('rtpmap'));
  const parameters = byPayloadType(attributes.get('fmtp'));
  const feedback = byPayloadType(attributes.get('rtcp-fb'));
  return payloadTypes.flatMap((type) => {
    const encoding = encodings.get(type)?.[0]?.toLowerCase();
    const payloadType = Number(type);
    if (encoding === undefined || !Number.isInteger(payloadType) || payloadType < 0 || payloadType > 127) return [];
    return [
      {
        payloadType,
        encoding,
        parameters: parseParameters(parameters.get(type)?.[0] ?? ''),
        feedback: [...(feedback.get(type) ?? []), ...(feedback.get('*') ?? [])],
      },
    ];
  });
}

/** Groups `96 …` values by payload type. */
function byPayloadType(values: readonly string[] = []): ReadonlyMap<string, readonly string[]> {
  const sorted = new Map<string, string[]>();
  for (const value of values) {
    const space = value.indexOf(' ');
    if (space < 0) continue;
    const type = value.slice(0, space);
    const about = value.slice(space + 1).trim();
    const others = sorted.get(type);
    if (others) others.push(about);
    else sorted.set(type, [about]);
  }
  return sorted;
}

function parseParameters(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(';').map((pair): [string, string] => {
      const equals = pair.indexOf('=');
      const key = equals < 0 ? pair : pair.slice(0, equals);
      return [key.trim().toLowerCase(), equals < 0 ? '' : pair.slice(equals + 1).trim()];
    }),
  );
}

/** A video format that both sides support. */
export interface VideoFormat {
  readonly codec: Codec;
  readonly payloadType: number;
  /** Payload type of retransmissions (RFC 4588), if the viewer supports them. */
  readonly rtxPayloadType: number | undefined;
  /** Feedback types that both sides support. */
  readonly feedback: readonly string[];
  /** `a=fmtp` of H.264: in an answer the viewer's own, repeated; in an offer {@link h264Offer}. */
  readonly parameters?: string | undefined;
}

/** The feedback types that are handled. */
export const VIDEO_FEEDBACK: readonly string[] = ['transport-cc', 'goog-remb', 'nack', 'nack pli', 'ccm fir'];
export const AUDIO_FEEDBACK: readonly string[] = ['transport-cc', 'nack'];

/** @returns the first of our codecs that the viewer supports. */
export function chooseVideo(media: RemoteMedia, codecs: readonly Codec[]): VideoFormat | undefined {
  for (const codec of codecs) {
    const format = media.formats.find((candidate) => DECODES[codec](candidate));
    if (!format) continue;
    const { payloadType, parameters } = format;
    return {
      codec,
      payloadType,
      rtxPayloadType: rtxOf(media, payloadType, 'rtx/90000'),
      feedback: VIDEO_FEEDBACK.filter((type) => format.feedback.includes(type)),
      ...(codec === 'h264' && { parameters: h264Answer(parameters) }),
    };
  }
  return undefined;
}

/** @returns the payload type of a format's retransmissions (RFC 4588 §8.6); `undefined` if the viewer supports none. */
function rtxOf({ formats }: RemoteMedia, payloadType: number, encoding: string): number | undefined {
  const isRtx = (format: RemoteFormat) =>
    format.encoding === encoding && Number(format.parameters.get('apt')) === payloadType;
  return formats.find(isRtx)?.payloadType;
}

/**
 * The H.264 parameters in our offers: constrained baseline, up to the level of what is sent (RFC 6184 §8.2.2). Level
 * asymmetry lets a viewer answer with another level.
 * @param level `level_idc`: ten times the level.
 */
export function h264Offer(level: number): string {
  const profile = `42e0${level.toString(16).padStart(2, '0')}`;
  return `level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=${profile}`;
}

/**
 * Repeats the viewer's own parameters or their absence: the profile and, unless the levels are independent, the level are
 * the same in both directions (RFC 6184 §8.2.2).
 */
function h264Answer(offered: ReadonlyMap<string, string>): string {
  const profile = offered.get('profile-level-id')?.toLowerCase();
  return [
    ...(offered.get('level-asymmetry-allowed') === '1' ? ['level-asymmetry-allowed=1'] : []),
    'packetization-mode=1',
    ...(profile === undefined ? [] : [`profile-level-id=${profile}`]),
  ].join(';');
}

/** The Opus format that both sides support. */
export interface AudioFormat {
  readonly payloadType: number;
  /** Payload type of Opus with repeated packets (RED, RFC 2198), if the viewer supports it. */
  readonly redPayloadType: number | undefined;
  /** Payload type of Opus retransmissions (RFC 4588), if the viewer supports them. */
  readonly rtxPayloadType: number | undefined;
  readonly feedback: readonly string[];
}

/** Opus always has two channels in SDP (RFC 7587 §7); a viewer that leaves them out means the same. */
export function chooseOpus(media: RemoteMedia): AudioFormat | undefined {
  const format = media.formats.find(({ encoding }) => encoding === 'opus/48000/2' || encoding === 'opus/48000');
  if (!format) return undefined;
  const { payloadType } = format;
  const red = media.formats.find(
    ({ encoding, parameters }) =>
      (encoding === 'red/48000/2' || encoding === 'red/48000') && isRedOf(payloadType, parameters),
  );
  return {
    payloadType,
    redPayloadType: red?.payloadType,
    rtxPayloadType: rtxOf(media, payloadType, 'rtx/48000') ?? rtxOf(media, payloadType, 'rtx/48000/2'),
    feedback: AUDIO_FEEDBACK.filter((type) => format.feedback.includes(type)),
  };
}

/** Parses `a=fmtp:<RED> <payload type>/<payload type>…` (RFC 2198 §5): all blocks must be our Opus. */
function isRedOf(payloadType: number, parameters: ReadonlyMap<string, string>): boolean {
  const [blocks = ''] = parameters.keys();
  return blocks.split('/').every((block) => block === String(payloadType));
}

const DECODES: Readonly<Record<Codec, (format: RemoteFormat) => boolean>> = {
  vp8: ({ encoding }) => encoding === 'vp8/90000',
  // Our streams are constrained baseline in packetization mode 1 (RFC 6184 §8.1); 42 is the baseline profile, which is the
  // default.
  h264: ({ encoding, parameters }) =>
    encoding === 'h264/90000' &&
    parameters.get('packetization-mode') === '1' &&
    /^42[0-9a-f]{4}$/i.test(parameters.get('profile-level-id') ?? '420010'),
};

/** Our session-level parameters. */
export interface LocalParameters {
  readonly usernameFragment: string;
  readonly password: string;
  readonly fingerprint: Fingerprint;
  /** `candidate:…` lines. */
  readonly candidates: readonly string[];
  /** `actpass` in an offer, `passive` in an answer. */
  readonly setup: 'actpass' | 'passive';
}

/** A media section that we send. */
export interface LocalMedia {
  readonly kind: MediaKind;
  /** Whether the viewer may send in it, too. */
  readonly receives: boolean;
  readonly mid: string;
  readonly formats: readonly LocalFormat[];
  /** The stream's SSRC first; a second one is that of its retransmissions. */
  readonly ssrcs: readonly number[];
  readonly cname: string;
  /** The media stream of both tracks: tracks of one stream are played in sync. */
  readonly stream: string;
  readonly reducedSize: boolean;
  readonly extensions: ReadonlyMap<string, number>;
}

interface LocalFormat {
  readonly payloadType: number;
  readonly encoding: string;
  readonly parameters?: string;
  readonly feedback?: readonly string[];
}

/** @returns the formats of Opus, with RED and retransmissions if they have a payload type. */
export function opusFormats({ payloadType, redPayloadType, rtxPayloadType, feedback }: AudioFormat): LocalFormat[] {
  // 20 ms, mono, with in-band FEC if the encoder produces it (RFC 7587 §7).
  const parameters = 'minptime=20;sprop-stereo=0;useinbandfec=1';
  const formats: LocalFormat[] = [{ payloadType, feedback, encoding: 'opus/48000/2', parameters }];
  if (redPayloadType !== undefined) {
    const blocks = `${payloadType}/${payloadType}`;
    formats.push({ payloadType: redPayloadType, feedback, encoding: 'red/48000/2', parameters: blocks });
  }
  if (rtxPayloadType !== undefined) {
    formats.push({ payloadType: rtxPayloadType, encoding: 'rtx/48000', parameters: `apt=${payloadType}` });
  }
  return formats;
}

/** @returns the formats of a codec, with retransmissions if they have a payload type. */
export function videoFormats({ codec, payloadType, rtxPayloadType, feedback, parameters }: VideoFormat): LocalFormat[] {
  const formats: LocalFormat[] = [
    { payloadType, feedback, encoding: ENCODINGS[codec], ...(parameters !== undefined && { parameters }) },
  ];
  if (rtxPayloadType !== undefined) {
    formats.push({ payloadType: rtxPayloadType, encoding: 'rtx/90000', parameters: `apt=${payloadType}` });
  }
  return formats;
}

const ENCODINGS: Readonly<Record<Codec, string>> = { vp8: 'VP8/90000', h264: 'H264/90000' };

/**
 * @param media in the order of the sections; sections that are not {@link LocalMedia} are rejected.
 * @param bundle the mids that may be bundled: in an answer, those of the offer's group (RFC 8843 §7.3).
 */
export function writeDescription(
  sessionId: number,
  local: LocalParameters,
  media: readonly (LocalMedia | RemoteMedia)[],
  bundle: readonly string[],
): string {
  const mids = media.filter(isLocal).flatMap(({ mid }) => (bundle.includes(mid) ? [mid] : []));
  const lines = [
    'v=0',
    `o=- ${sessionId} 1 IN IP4 0.0.0.0`,
    's=-',
    't=0 0',
    'a=ice-lite',
    ...(mids.length > 0 ? [`a=group:BUNDLE ${mids.join(' ')}`] : []),
    'a=msid-semantic: WMS *',
    ...media.flatMap((section) => (isLocal(section) ? mediaLines(section, local) : refusalLines(section))),
  ];
  return `${lines.join('\r\n')}\r\n`;
}

/**
 * Writes the answer to an ICE restart (RFC 9725 §4.3.3).
 * @param tagged the section that describes the transport of the bundle; without a `mid`, the credentials apply to the
 * session.
 */
export function writeIceFragment(
  local: IceCredentials,
  candidates: readonly string[],
  { kind, protocol, firstFormat, mid }: Pick<RemoteMedia, 'kind' | 'protocol' | 'firstFormat' | 'mid'>,
): string {
  const lines = [
    'a=ice-lite',
    ...(mid === '' ? [] : [`m=${kind} 9 ${protocol} ${firstFormat}`, `a=mid:${mid}`]),
    `a=ice-ufrag:${local.usernameFragment}`,
    `a=ice-pwd:${local.password}`,
    ...candidates.map((candidate) => `a=${candidate}`),
    'a=end-of-candidates',
  ];
  return `${lines.join('\r\n')}\r\n`;
}

function isLocal(media: LocalMedia | RemoteMedia): media is LocalMedia {
  return 'cname' in media;
}

function mediaLines(media: LocalMedia, local: LocalParameters): string[] {
  return [
    `m=${media.kind} 9 UDP/TLS/RTP/SAVPF ${media.formats.map(({ payloadType }) => payloadType).join(' ')}`,
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    ...local.candidates.map((candidate) => `a=${candidate}`),
    'a=end-of-candidates',
    `a=ice-ufrag:${local.usernameFragment}`,
    `a=ice-pwd:${local.password}`,
    `a=fingerprint:${local.fingerprint.algorithm} ${local.fingerprint.value}`,
    `a=setup:${local.setup}`,
    ...(media.mid === '' ? [] : [`a=mid:${media.mid}`]),
    media.receives ? 'a=sendrecv' : 'a=sendonly',
    'a=rtcp-mux',
    ...(media.reducedSize ? ['a=rtcp-rsize'] : []),
    // A reused track id makes Chromium wait for the old track's frames when a connection is replaced. An id is a token (RFC
    // 8830 §2), which base64 is not.
    `a=msid:${media.stream} ${media.kind}-${Buffer.from(local.usernameFragment, 'base64').toString('hex')}`,
    ...[...media.extensions].map(([uri, id]) => `a=extmap:${id} ${uri}`),
    ...media.formats.flatMap(formatLines),
    ...(media.kind === 'audio' ? ['a=ptime:20', 'a=maxptime:20'] : []),
    ...(media.ssrcs.length > 1 ? [`a=ssrc-group:FID ${media.ssrcs.join(' ')}`] : []),
    ...media.ssrcs.map((ssrc) => `a=ssrc:${ssrc} cname:${media.cname}`),
  ];
}

function formatLines({ payloadType, encoding, parameters, feedback = [] }: LocalFormat): string[] {
  return [
    `a=rtpmap:${payloadType} ${encoding}`,
    ...feedback.map((type) => `a=rtcp-fb:${payloadType} ${type}`),
    ...(parameters === undefined ? [] : [`a=fmtp:${payloadType} ${parameters}`]),
  ];
}

/** Rejects a section by port 0 (RFC 3264 §6). */
function refusalLines({ kind, protocol, mid, firstFormat }: RemoteMedia): string[] {
  return [
    `m=${kind} 0 ${protocol} ${firstFormat}`,
    'c=IN IP4 0.0.0.0',
    'a=inactive',
    ...(mid === '' ? [] : [`a=mid:${mid}`]),
  ];
}
