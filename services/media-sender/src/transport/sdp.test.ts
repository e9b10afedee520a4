import { SDP_LIMIT_BYTES } from '@humancast/protocol';
import { fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { ABS_SEND_TIME_URI, TRANSPORT_SEQUENCE_URI } from '../rtp/congestion-extension.js';
import { chooseOpus, chooseVideo, opusFormats, parseDescription, videoFormats, writeDescription } from './sdp.js';

const lines = (...all: string[]) => `${all.join('\r\n')}\r\n`;

/** Chromium's offer, shortened. */
const VIDEO = [
  'm=video 9 UDP/TLS/RTP/SAVPF 96 97 102 103 104 105 106 107',
  'a=mid:0',
  'a=recvonly',
  'a=rtpmap:96 VP8/90000',
  'a=rtpmap:97 rtx/90000',
  'a=fmtp:97 apt=96',
  'a=rtpmap:102 H264/90000',
  'a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f',
  'a=rtpmap:103 H264/90000',
  'a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f',
  'a=rtpmap:104 H264/90000',
  'a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42E01F',
  'a=rtpmap:105 rtx/90000',
  'a=fmtp:105 apt=104',
];

const [video] = parseDescription(lines('v=0', 'a=fingerprint:sha-256 AA:BB', 'a=setup:actpass', ...VIDEO)).media;

describe('parseDescription()', () => {
  it('applies session attributes to the media sections', () => {
    expect(video).toMatchObject({ setup: 'actpass', fingerprints: [{ algorithm: 'sha-256', value: 'AA:BB' }] });
  });

  it('accepts bare line feeds', () => {
    expect(parseDescription(['v=0', ...VIDEO, ''].join('\n')).media[0]?.mid).toBe('0');
  });

  it('distinguishes sections that receive, only send, or are rejected', () => {
    const description = parseDescription(
      lines(
        'v=0',
        'm=audio 9 UDP/TLS/RTP/SAVPF 111',
        'a=sendonly',
        'm=audio 0 UDP/TLS/RTP/SAVPF 111',
        'm=audio 0 UDP/TLS/RTP/SAVPF 111',
        'a=bundle-only',
        'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
      ),
    );
    expect(description.media.map(({ receives }) => receives)).toEqual([false, true, true, true]);
    expect(description.media.map(({ rejected }) => rejected)).toEqual([false, true, false, false]);
    expect(description.media[3]).toMatchObject({ kind: 'application', formats: [], firstFormat: 'webrtc-datachannel' });
  });
});

describe('the chosen codec', () => {
  if (!video) throw new Error('no video');

  it('is the first of ours that the viewer supports, with its retransmissions', () => {
    expect(chooseVideo(video, ['vp8', 'h264'])).toEqual({
      codec: 'vp8',
      payloadType: 96,
      rtxPayloadType: 97,
      feedback: [],
    });
  });

  it('is H.264 only with the profile and packetization mode that we send', () => {
    expect(chooseVideo(video, ['h264', 'vp8'])).toMatchObject({ codec: 'h264', payloadType: 104, rtxPayloadType: 105 });
    const [high] = parseDescription(lines('v=0', ...VIDEO.slice(0, 10))).media;
    expect(high && chooseVideo(high, ['h264'])).toBeUndefined();
  });

  it('has no retransmissions if the viewer has none', () => {
    const [bare] = parseDescription(lines('v=0', 'm=video 9 UDP/TLS/RTP/SAVPF 100', 'a=rtpmap:100 VP8/90000')).media;
    expect(bare && chooseVideo(bare, ['vp8'])).toMatchObject({ payloadType: 100, rtxPayloadType: undefined });
  });

  it('has the feedback types that the viewer offered for one format or for all', () => {
    const offered = (...feedback: string[]) => {
      const [media] = parseDescription(lines('v=0', ...VIDEO, ...feedback)).media;
      return media && chooseVideo(media, ['vp8'])?.feedback;
    };
    expect(offered('a=rtcp-fb:96 nack pli', 'a=rtcp-fb:97 nack', 'a=rtcp-fb:96 ccm tmmbr')).toEqual(['nack pli']);
    expect(offered('a=rtcp-fb:96 ccm fir')).toEqual(['ccm fir']);
    expect(offered('a=rtcp-fb:96 goog-remb', 'a=rtcp-fb:96 transport-cc')).toEqual(['transport-cc', 'goog-remb']);
    expect(offered('a=rtcp-fb:* nack')).toEqual(['nack']);
    expect(offered()).toEqual([]);
  });

  it.each([
    ['level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42000a'],
    ['packetization-mode=1;profile-level-id=42e01f'],
    ['packetization-mode=1'],
  ])("is answered with the viewer's own profile and level: %s", (parameters) => {
    const offer = lines('v=0', 'm=video 9 X 100', 'a=rtpmap:100 h264/90000', `a=fmtp:100 ${parameters}`);
    const [media] = parseDescription(offer).media;
    const format = media && chooseVideo(media, ['h264']);
    expect(format && videoFormats(format)[0]?.parameters).toBe(parameters);
  });

  it('of audio is Opus', () => {
    const audio = ['m=audio 9 UDP/TLS/RTP/SAVPF 0 109', 'a=rtpmap:0 PCMU/8000', 'a=rtpmap:109 opus/48000/2'];
    const [media] = parseDescription(lines('v=0', ...audio)).media;
    expect(media && chooseOpus(media)?.payloadType).toBe(109);
    expect(chooseOpus(video)).toBeUndefined();
  });

  it.each(['opus/48000/2', 'OPUS/48000/2', 'opus/48000', 'OPUS/48000'])('of audio may be written as %s', (encoding) => {
    const [media] = parseDescription(lines('v=0', 'm=audio 9 X 109', `a=rtpmap:109 ${encoding}`)).media;
    expect(media && chooseOpus(media)?.payloadType).toBe(109);
  });
});

describe('an offer of aiortc', () => {
  /** An offer of aiortc 1.4, shortened; each section has a transport, and BUNDLE uses the first. */
  const offer = (...video: string[]) =>
    parseDescription(
      lines(
        'v=0',
        'a=group:BUNDLE 0 1',
        'a=msid-semantic:WMS *',
        'm=audio 36033 UDP/TLS/RTP/SAVPF 96 0 8',
        'a=recvonly',
        'a=mid:0',
        'a=rtcp-mux',
        'a=rtpmap:96 opus/48000/2',
        'a=rtpmap:0 PCMU/8000',
        'a=rtpmap:8 PCMA/8000',
        'm=video 49538 UDP/TLS/RTP/SAVPF 97 98 99 100',
        'a=recvonly',
        'a=mid:1',
        ...video,
      ),
    );
  const h264 = [
    'a=rtpmap:99 H264/90000',
    'a=rtcp-fb:99 nack',
    'a=rtcp-fb:99 nack pli',
    'a=fmtp:99 packetization-mode=1;level-asymmetry-allowed=1;profile-level-id=42001f',
    'a=rtpmap:100 rtx/90000',
    'a=fmtp:100 apt=99',
  ];

  it('agrees on video and audio if the offer has only H.264', () => {
    const { media, bundle } = offer(...h264);
    const [audio, video] = media;
    if (!audio || !video) throw new Error('no media');
    expect(bundle).toEqual(['0', '1']);
    expect(chooseOpus(audio)?.payloadType).toBe(96);
    expect(chooseVideo(video, ['vp8', 'h264'])).toMatchObject({
      codec: 'h264',
      payloadType: 99,
      rtxPayloadType: 100,
      feedback: ['nack', 'nack pli'],
    });
  });

  it('has no common codec with a VP8 avatar if the offer has only H.264', () => {
    const [, video] = offer(...h264).media;
    expect(video && chooseVideo(video, ['vp8'])).toBeUndefined();
  });
});

describe('the audio format', () => {
  const chosen = (...lines_: string[]) => {
    const audio = ['m=audio 9 X 111 63 112', 'a=rtpmap:111 opus/48000/2', 'a=rtpmap:63 red/48000/2', ...lines_];
    const [media] = parseDescription(lines('v=0', ...audio)).media;
    return media && chooseOpus(media);
  };

  it.each([
    ['111/111', 63],
    ['111/111/111', 63],
    ['111', 63],
    ['111/9', undefined],
    ['9/9', undefined],
  ])('has redundancy only if all RED blocks are Opus: %s', (blocks, redPayloadType) => {
    expect(chosen(`a=fmtp:63 ${blocks}`)).toMatchObject({ payloadType: 111, redPayloadType });
  });

  it('has no redundancy if RED has no format parameters', () => {
    expect(chosen()?.redPayloadType).toBeUndefined();
  });

  it('has the retransmissions and feedback types that the viewer offered', () => {
    const rtx = ['a=rtpmap:112 rtx/48000', 'a=fmtp:112 apt=111', 'a=rtcp-fb:111 nack', 'a=rtcp-fb:111 nack pli'];
    expect(chosen(...rtx)).toMatchObject({ rtxPayloadType: 112, feedback: ['nack'] });
    expect(chosen('a=rtpmap:112 rtx/48000', 'a=fmtp:112 apt=63')?.rtxPayloadType).toBeUndefined();
  });

  it('is parsed again as it was written', () => {
    const formats = opusFormats({ payloadType: 109, redPayloadType: 63, rtxPayloadType: 112, feedback: ['nack'] });
    expect(
      formats.map(({ payloadType, encoding, parameters }) => [payloadType, encoding, parameters]).slice(1),
    ).toEqual([
      [63, 'red/48000/2', '109/109'],
      [112, 'rtx/48000', 'apt=109'],
    ]);
  });
});

describe('a direction', () => {
  it.each([
    ['sendonly', 'recvonly', true],
    ['recvonly', 'inactive', false],
    ['sendonly', undefined, false],
    [undefined, undefined, true],
  ])('of the session (%s) is overridden by that of the section (%s)', (session, media, receives) => {
    const offer = ['v=0', ...(session ? [`a=${session}`] : []), 'm=video 9 X 96', ...(media ? [`a=${media}`] : [])];
    expect(parseDescription(lines(...offer)).media[0]?.receives).toBe(receives);
  });
});

describe('the transport', () => {
  it('is taken from the section, else from its bundle, else from the session', () => {
    const [password, other] = ['p'.repeat(22), 'q'.repeat(22)];
    const { media } = parseDescription(
      lines(
        'v=0',
        'a=group:BUNDLE a v',
        'a=setup:active',
        'a=fingerprint:sha-256 00',
        'm=audio 9 X 109',
        'a=mid:a',
        'a=ice-ufrag:abcd',
        `a=ice-pwd:${password}`,
        'a=fingerprint:sha-256 AA',
        'm=video 9 X 96',
        'a=mid:v',
        'a=bundle-only',
        'm=video 9 X 96',
        'a=mid:alone',
        'a=ice-ufrag:efgh',
        `a=ice-pwd:${other}`,
      ),
    );
    expect(media.map(({ fingerprints }) => fingerprints[0]?.value)).toEqual(['AA', 'AA', '00']);
    expect(media.map(({ ice }) => ice?.password)).toEqual([password, password, other]);
    expect(media.map(({ setup }) => setup)).toEqual(['active', 'active', 'active']);
  });
});

const LOCAL = {
  usernameFragment: 'a/b+',
  password: 'secret',
  fingerprint: { algorithm: 'sha-256', value: 'AA' },
  candidates: [],
  setup: 'passive',
} as const;

function answerTo(...offer: string[]): string {
  const description = parseDescription(lines('v=0', ...offer));
  const media = description.media.map((section) => ({
    ...({
      kind: 'video',
      mid: section.mid,
      receives: false,
      formats: [],
      ssrcs: [1],
      cname: 'c',
      stream: 's',
    } as const),
    reducedSize: section.reducedSize,
    extensions: section.extensions,
  }));
  return writeDescription(1, LOCAL, media, description.bundle);
}

describe('writeDescription()', () => {
  it('lets the viewer send only in a section that receives', () => {
    const section = {
      kind: 'audio',
      mid: '0',
      formats: [],
      ssrcs: [1],
      cname: 'c',
      stream: 's',
      reducedSize: true,
    } as const;
    const [one, other] = [true, false].map((receives) =>
      writeDescription(1, LOCAL, [{ ...section, receives, extensions: new Map() }], ['0']),
    );
    expect(one).toMatch(/^a=sendrecv\r$/m);
    expect(other).toMatch(/^a=sendonly\r$/m);
  });

  it('writes neither mid nor group if the offer has none', () => {
    expect(answerTo('m=video 9 X 96')).not.toMatch(/a=mid|a=group/);
  });

  it('writes the header extensions of congestion control with the ids of the offer, and no others', () => {
    const answer = answerTo(
      'm=video 9 X 96',
      `a=extmap:7/recvonly ${TRANSPORT_SEQUENCE_URI}`,
      `a=extmap:14 ${ABS_SEND_TIME_URI} with attributes`,
      'a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid',
      'a=extmap:5 constructor',
    );
    expect(answer.match(/a=extmap:.*/g)).toEqual([
      `a=extmap:7 ${TRANSPORT_SEQUENCE_URI}`,
      `a=extmap:14 ${ABS_SEND_TIME_URI}`,
    ]);
  });

  it.each([
    ['that does not fit in a one-byte header', `a=extmap:15 ${TRANSPORT_SEQUENCE_URI}`],
    ['of 0', `a=extmap:0 ${TRANSPORT_SEQUENCE_URI}`],
    ['that is none', `a=extmap:x ${TRANSPORT_SEQUENCE_URI}`],
  ])('leaves out a header extension with an id %s', (_what, line) => {
    expect(answerTo('m=video 9 X 96', line)).not.toContain('a=extmap');
  });

  it('bundles the sections that the offer bundled', () => {
    expect(answerTo('a=group:BUNDLE v', 'm=video 9 X 96', 'a=mid:v', 'm=video 9 X 96', 'a=mid:w')).toContain(
      'a=group:BUNDLE v\r\n',
    );
    expect(answerTo('m=video 9 X 96', 'a=mid:v')).not.toContain('a=group');
  });

  it('writes rtcp-rsize if the offer has it', () => {
    expect(answerTo('m=video 9 X 96')).not.toContain('a=rtcp-rsize');
    expect(answerTo('m=video 9 X 96', 'a=rtcp-rsize')).toContain('a=rtcp-rsize');
  });

  it('writes tokens as track ids (RFC 8830 §2)', () => {
    expect(answerTo('m=video 9 X 96')).toMatch(/a=msid:s video-[\da-f]+\r\n/);
  });
});

describe('the parser', () => {
  const problem = (sdp: string) => {
    try {
      parseDescription(sdp);
      return undefined;
    } catch (error) {
      return (error as { code?: string }).code ?? error;
    }
  };

  it.each([
    ['too long', `v=0\na=${'x'.repeat(SDP_LIMIT_BYTES)}`],
    ['of too many lines', `v=0\nm=video 9 X 96\n${'a=\n'.repeat(2048)}`],
    ['of too many sections', `v=0\n${'m=video 9 X 96\n'.repeat(33)}`],
    ['of too many formats', `v=0\nm=video 9 X${' 96'.repeat(129)}`],
    ['with a mid that is no token', 'v=0\nm=video 9 X 96\na=mid:a b'],
    ['with a protocol that is no token', 'v=0\nm=video 9 X\u0000 96'],
  ])('refuses a description %s', (_what, sdp) => {
    expect(problem(sdp)).toBe('bad_sdp');
  });

  it('reads the largest descriptions in linear time', () => {
    const half = SDP_LIMIT_BYTES / 2 - 100;
    const shapes = [
      `v=0\nm=audio 9 X${' 1'.repeat(half / 2)}\n${'a=\n'.repeat(half / 3)}`,
      `v=0\nm=audio 9 X${' 1'.repeat(128)}\n${'a=rtpmap:1 a/1\n'.repeat(2000)}`,
      `v=0\nm=audio 9 X 1\na=rtpmap:1 a/1\na=fmtp:1 ${';'.repeat(30_000)}`,
      `v=0\na=group:BUNDLE ${'m '.repeat(10_000)}\n${'m=video 9 X 96\na=mid:m\n'.repeat(32)}`,
      `v=0\nm=video 9 X 96\n${' '.repeat(30_000)}`,
      `v=0\nm=video${' '.repeat(30_000)}9 X 96`,
    ];
    for (const shape of shapes) {
      expect(shape.length).toBeLessThanOrEqual(SDP_LIMIT_BYTES);
      problem(shape);
      const before = process.cpuUsage();
      problem(shape);
      const { user, system } = process.cpuUsage(before);
      // It takes about 2 ms; a quadratic parser took 290 ms.
      expect(user + system, shape.slice(0, 60)).toBeLessThan(50_000);
    }
  });

  it(
    'throws only bad_sdp for any input',
    async () => {
      const corpus = [lines('v=0', 'a=group:BUNDLE 0', 'a=fingerprint:sha-256 AA:BB', ...VIDEO, 'a=rtcp-fb:* nack')];
      const { runs } = await fuzz({ corpus, runs: 5000, maxBytes: SDP_LIMIT_BYTES }, (input) => {
        expect([undefined, 'bad_sdp']).toContain(problem(input.toString('utf8')));
        expect([undefined, 'bad_sdp']).toContain(problem(`v=0\r\n${input.toString('latin1')}`));
      });
      expect(runs).toBeGreaterThan(100);
    },
    fuzzTimeoutMs(),
  );
});

describe('direction and SSRCs of a section', () => {
  it.each([
    ['a=sendrecv', true, true],
    ['a=recvonly', true, false],
    ['a=sendonly', false, true],
    ['a=inactive', false, false],
    ['a=x', true, true],
  ])('%s: receives %s, sends %s', (line, receives, sends) => {
    expect(parseDescription(lines('v=0', 'm=audio 9 X 111', line)).media[0]).toMatchObject({ receives, sends });
  });

  it('reads each SSRC once, and a limited number of them', () => {
    const ssrcs = Array.from({ length: 40 }, (_, i) => `a=ssrc:${i} cname:x`);
    const text = lines(
      'v=0',
      'm=audio 9 X 111',
      'a=ssrc:7 cname:x',
      'a=ssrc:7 msid:y',
      'a=ssrc:nonsense',
      'a=ssrc:4294967296 x',
    );
    expect(parseDescription(text).media[0]?.ssrcs).toEqual([7]);
    expect(parseDescription(lines('v=0', 'm=audio 9 X 111', ...ssrcs)).media[0]?.ssrcs).toHaveLength(16);
  });
});
