import { describe, expect, it } from 'vitest';
import { iceUfragOf, looksLikeSdp, parseIceFragment } from './sdp.js';

const fragment = [
  'a=group:BUNDLE 0 1',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:0',
  'a=ice-ufrag:EsAw',
  'a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1',
  'a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1',
  'a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0 ufrag EsAw network-id 1',
  'a=end-of-candidates',
  '',
].join('\r\n');

describe('parseIceFragment', () => {
  it('reads the candidates with the media section they belong to', () => {
    expect(parseIceFragment(fragment)).toEqual({
      ufrag: 'EsAw',
      candidates: [
        {
          candidate:
            'candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1',
          sdpMid: '0',
        },
        {
          candidate:
            'candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0 ufrag EsAw network-id 1',
          sdpMid: '0',
        },
      ],
    });
  });

  it('takes a fragment that only says there are no more candidates', () => {
    expect(parseIceFragment('a=ice-ufrag:EsAw\na=end-of-candidates\n')).toEqual({ ufrag: 'EsAw', candidates: [] });
  });

  it.each(['{"candidate":"x"}', 'a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n'])('refuses %s', (text) => {
    expect(parseIceFragment(text)).toBeUndefined();
  });

  it('takes no more candidates than a player can have', () => {
    const many = `m=audio 9 X 0\r\na=mid:0\r\n${'a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n'.repeat(1000)}`;
    expect(parseIceFragment(many)?.candidates).toHaveLength(64);
  });
});

describe('looksLikeSdp', () => {
  it('knows a description from other text', () => {
    expect(looksLikeSdp('v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 X 0\r\n')).toBe(true);
    expect(looksLikeSdp('v=0\r\n')).toBe(false);
    expect(looksLikeSdp('hello')).toBe(false);
  });
});

describe('iceUfragOf', () => {
  it('finds the user name', () => {
    expect(iceUfragOf(fragment)).toBe('EsAw');
    expect(iceUfragOf('v=0')).toBeUndefined();
  });
});
