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
  it('reads the ICE credentials of a fragment with candidates', () => {
    expect(parseIceFragment(fragment)).toEqual({ ufrag: 'EsAw', password: 'P2uYro0UCOQ4zxjKXaWCBui1' });
  });

  it('accepts a fragment that only ends the candidates', () => {
    expect(parseIceFragment('a=ice-ufrag:EsAw\na=end-of-candidates\n')).toEqual({ ufrag: 'EsAw', password: undefined });
  });

  it.each(['{"candidate":"x"}', 'a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n'])(
    'returns undefined for %s',
    (text) => {
      expect(parseIceFragment(text)).toBeUndefined();
    },
  );
});

describe('looksLikeSdp', () => {
  it('returns true for a description and false for other text', () => {
    expect(looksLikeSdp('v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 X 0\r\n')).toBe(true);
    expect(looksLikeSdp('v=0\r\n')).toBe(false);
    expect(looksLikeSdp('hello')).toBe(false);
  });
});

describe('iceUfragOf', () => {
  it('returns the user name, or undefined if there is none', () => {
    expect(iceUfragOf(fragment)).toBe('EsAw');
    expect(iceUfragOf('v=0')).toBeUndefined();
  });
});
