import { describe, expect, it } from 'vitest';
import { chooseOpus, chooseVideo, parseDescription } from './sdp.js';

const lines = (...all: string[]) => `${all.join('\r\n')}\r\n`;

/** As Chromium offers it, shortened. */
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

describe('a viewer’s description', () => {
  it('inherits what stands above its media', () => {
    expect(video).toMatchObject({ setup: 'actpass', fingerprints: [{ algorithm: 'sha-256', value: 'AA:BB' }] });
  });

  it('may have bare line feeds', () => {
    expect(parseDescription(['v=0', ...VIDEO, ''].join('\n')).media[0]?.mid).toBe('0');
  });

  it('tells what receives, what only sends, and what is refused', () => {
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

describe('the codec', () => {
  if (!video) throw new Error('no video');

  it('is the first of ours that the viewer takes, with its retransmissions', () => {
    expect(chooseVideo(video, ['vp8', 'h264'])).toEqual({ codec: 'vp8', payloadType: 96, rtxPayloadType: 97 });
  });

  it('is H.264 only in the profile and packetization that we send', () => {
    expect(chooseVideo(video, ['h264', 'vp8'])).toEqual({ codec: 'h264', payloadType: 104, rtxPayloadType: 105 });
    const [high] = parseDescription(lines('v=0', ...VIDEO.slice(0, 10))).media;
    expect(high && chooseVideo(high, ['h264'])).toBeUndefined();
  });

  it('does without retransmissions where there are none', () => {
    const [bare] = parseDescription(lines('v=0', 'm=video 9 UDP/TLS/RTP/SAVPF 100', 'a=rtpmap:100 VP8/90000')).media;
    expect(bare && chooseVideo(bare, ['vp8'])).toEqual({ codec: 'vp8', payloadType: 100, rtxPayloadType: undefined });
  });

  it('of sound is Opus', () => {
    const audio = ['m=audio 9 UDP/TLS/RTP/SAVPF 0 109', 'a=rtpmap:0 PCMU/8000', 'a=rtpmap:109 opus/48000/2'];
    const [media] = parseDescription(lines('v=0', ...audio)).media;
    expect(media && chooseOpus(media)).toBe(109);
    expect(chooseOpus(video)).toBeUndefined();
  });
});
