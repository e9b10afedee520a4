import { type Codec, HumancastError } from '@humancast/shared';
import type { Fingerprint } from './dtls.js';
import type { MediaKind } from './viewer-transport.js';

/** A session description (RFC 8866), as far as WebRTC's offers and answers (RFC 8829) matter to a sender. */
export interface RemoteDescription {
  readonly media: readonly RemoteMedia[];
  /** `mid`s of the BUNDLE group. */
  readonly bundle: readonly string[];
}

export interface RemoteMedia {
  /** `audio`, `video`, or whatever else it asks for. */
  readonly kind: string;
  /** The `m=` line's protocol and first format, for refusing it in its own terms. */
  readonly protocol: string;
  readonly firstFormat: string;
  readonly rejected: boolean;
  readonly mid: string;
  readonly setup: string | undefined;
  readonly receives: boolean;
  readonly fingerprints: readonly Fingerprint[];
  /** In the viewer's order of preference. */
  readonly formats: readonly RemoteFormat[];
}

interface RemoteFormat {
  readonly payloadType: number;
  /** Lower case, with clock rate: `vp8/90000`. */
  readonly encoding: string;
  /** Lower-case keys. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** @throws HumancastError `bad_sdp`. */
export function parseDescription(sdp: string): RemoteDescription {
  const [session = [], ...sections] = splitSections(sdp);
  if (!session[0]?.startsWith('v=0')) throw new HumancastError('bad_sdp', 'a session description starts with v=0');
  const defaults = attributesOf(session);
  const media = sections.map((lines) => parseMedia(lines, defaults));
  if (media.length === 0) throw new HumancastError('bad_sdp', 'the session description has no media');
  const [group] = valuesOf(defaults, 'group').filter((value) => value.startsWith('BUNDLE'));
  return { media, bundle: group?.split(' ').slice(1) ?? [] };
}

/** Whether these sections share one transport (RFC 8843). */
export function isBundled({ bundle }: RemoteDescription, mids: readonly string[]): boolean {
  return mids.every((mid) => bundle.includes(mid));
}

type Attributes = readonly (readonly [name: string, value: string])[];

function splitSections(sdp: string): string[][] {
  const sections: string[][] = [[]];
  for (const line of sdp.split(/\r?\n/)) {
    if (line.startsWith('m=')) sections.push([]);
    if (line !== '') sections.at(-1)?.push(line);
  }
  return sections;
}

function attributesOf(lines: readonly string[]): Attributes {
  return lines
    .filter((line) => line.startsWith('a='))
    .map((line) => {
      const colon = line.indexOf(':');
      return colon < 0 ? [line.slice(2), ''] : [line.slice(2, colon), line.slice(colon + 1).trim()];
    });
}

function valuesOf(attributes: Attributes, name: string): string[] {
  return attributes.filter(([key]) => key === name).map(([, value]) => value);
}

function parseMedia(lines: readonly string[], defaults: Attributes): RemoteMedia {
  const [kind, port, protocol, ...payloadTypes] = (lines[0] ?? '').slice('m='.length).split(' ');
  if (!kind || !port || !protocol) throw new HumancastError('bad_sdp', `not a media line: ${lines[0]}`);
  const own = attributesOf(lines);
  const all = [...own, ...defaults];
  return {
    kind,
    protocol,
    firstFormat: payloadTypes[0] ?? '0',
    rejected: port === '0' && !own.some(([name]) => name === 'bundle-only'),
    mid: valuesOf(own, 'mid')[0] ?? '',
    setup: valuesOf(all, 'setup')[0],
    receives: !all.some(([name]) => name === 'sendonly' || name === 'inactive'),
    fingerprints: valuesOf(all, 'fingerprint').map(parseFingerprint),
    formats: payloadTypes.flatMap((type) => parseFormat(type, own)),
  };
}

function parseFingerprint(text: string): Fingerprint {
  const [algorithm = '', value = ''] = text.split(' ');
  return { algorithm, value };
}

function parseFormat(type: string, attributes: Attributes): RemoteFormat[] {
  const valueFor = (name: string) =>
    valuesOf(attributes, name)
      .find((value) => value.startsWith(`${type} `))
      ?.slice(type.length + 1);
  const encoding = valueFor('rtpmap')?.toLowerCase();
  const payloadType = Number(type);
  if (encoding === undefined || !Number.isInteger(payloadType) || payloadType < 0 || payloadType > 127) return [];
  const parameters = (valueFor('fmtp') ?? '').split(';').map((pair): [string, string] => {
    const [key = '', value = ''] = pair.split('=');
    return [key.trim().toLowerCase(), value.trim()];
  });
  return [{ payloadType, encoding, parameters: new Map(parameters) }];
}

/** A video format both sides can use. */
export interface VideoFormat {
  readonly codec: Codec;
  readonly payloadType: number;
  /** Of retransmissions (RFC 4588), where the viewer takes them. */
  readonly rtxPayloadType: number | undefined;
}

/** The first of our codecs that the viewer takes. */
export function chooseVideo(media: RemoteMedia, codecs: readonly Codec[]): VideoFormat | undefined {
  for (const codec of codecs) {
    const format = media.formats.find((candidate) => DECODES[codec](candidate));
    if (!format) continue;
    const { payloadType } = format;
    const rtx = media.formats.find(
      ({ encoding, parameters }) => encoding === 'rtx/90000' && Number(parameters.get('apt')) === payloadType,
    );
    return { codec, payloadType, rtxPayloadType: rtx?.payloadType };
  }
  return undefined;
}

export function chooseOpus(media: RemoteMedia): number | undefined {
  return media.formats.find(({ encoding }) => encoding === 'opus/48000/2')?.payloadType;
}

const DECODES: Readonly<Record<Codec, (format: RemoteFormat) => boolean>> = {
  vp8: ({ encoding }) => encoding === 'vp8/90000',
  // Our streams are constrained baseline in packetization mode 1 (RFC 6184 §8.1); 42 is the baseline family.
  h264: ({ encoding, parameters }) =>
    encoding === 'h264/90000' &&
    parameters.get('packetization-mode') === '1' &&
    (parameters.get('profile-level-id') ?? '').toLowerCase().startsWith('42'),
};

/** What our side of a description says beside its media. */
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
  readonly mid: string;
  readonly formats: readonly LocalFormat[];
  /** First the stream's own; a second one is that of its retransmissions. */
  readonly ssrcs: readonly number[];
  readonly cname: string;
  /** The media stream both tracks belong to: what belongs together is played in sync. */
  readonly stream: string;
}

interface LocalFormat {
  readonly payloadType: number;
  readonly encoding: string;
  readonly parameters?: string;
  readonly feedback?: readonly string[];
}

export function opusFormat(payloadType: number): LocalFormat {
  // 20 ms, mono, with in-band FEC where the encoder is told to (RFC 7587 §7).
  return { payloadType, encoding: 'opus/48000/2', parameters: 'minptime=20;sprop-stereo=0;useinbandfec=1' };
}

/** A codec, and its retransmissions where they have a payload type. */
export function videoFormats({ codec, payloadType, rtxPayloadType }: VideoFormat): LocalFormat[] {
  const feedback = ['nack', 'nack pli'];
  const formats: LocalFormat[] = [{ payloadType, feedback, ...ENCODINGS[codec] }];
  if (rtxPayloadType !== undefined) {
    formats.push({ payloadType: rtxPayloadType, encoding: 'rtx/90000', parameters: `apt=${payloadType}` });
  }
  return formats;
}

const ENCODINGS: Readonly<Record<Codec, { encoding: string; parameters?: string }>> = {
  vp8: { encoding: 'VP8/90000' },
  // Constrained baseline, level 3.1; asymmetry allows us any level that the viewer decodes.
  h264: {
    encoding: 'H264/90000',
    parameters: 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f',
  },
};

/** @param media in the order of the sections; what is not {@link LocalMedia} is refused. */
export function writeDescription(
  sessionId: number,
  local: LocalParameters,
  media: readonly (LocalMedia | RemoteMedia)[],
): string {
  const accepted = media.filter(isLocal);
  const lines = [
    'v=0',
    `o=- ${sessionId} 1 IN IP4 0.0.0.0`,
    's=-',
    't=0 0',
    'a=ice-lite',
    `a=group:BUNDLE ${accepted.map(({ mid }) => mid).join(' ')}`,
    'a=msid-semantic: WMS *',
    ...media.flatMap((section) => (isLocal(section) ? mediaLines(section, local) : refusalLines(section))),
  ];
  return `${lines.join('\r\n')}\r\n`;
}

function isLocal(media: LocalMedia | RemoteMedia): media is LocalMedia {
  return 'ssrcs' in media;
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
    `a=mid:${media.mid}`,
    'a=sendonly',
    'a=rtcp-mux',
    'a=rtcp-rsize',
    // A track id that was there before makes Chromium wait for the old track's frames when a connection is replaced.
    `a=msid:${media.stream} ${media.kind}-${local.usernameFragment}`,
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

/** RFC 3264 §6: port 0. */
function refusalLines({ kind, protocol, mid, firstFormat }: RemoteMedia): string[] {
  return [
    `m=${kind} 0 ${protocol} ${firstFormat}`,
    'c=IN IP4 0.0.0.0',
    'a=inactive',
    ...(mid === '' ? [] : [`a=mid:${mid}`]),
  ];
}
