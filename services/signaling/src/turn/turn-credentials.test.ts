import { describe, expect, it } from 'vitest';
import { TurnCredentials } from './turn-credentials.js';

describe('TurnCredentials', () => {
  const urls = ['turn:turn.example:3478?transport=udp', 'turn:turn.example:3478?transport=tcp'];

  it('contain expiry and holder, signed as coturn expects', () => {
    const turn = new TurnCredentials({ urls, secret: 'north', ttlSeconds: 600 }, undefined, () => 1_700_000_000_500);
    // printf '1700000600:vw_abc' | openssl dgst -sha1 -hmac north -binary | base64
    expect(turn.issue('vw_abc', 'ses_1')).toEqual([
      { urls, username: '1700000600:vw_abc', credential: '+7yA2E+TGAczB1bsZiVoLpz2Go8=' },
    ]);
  });

  it('give all viewers of a session the same one of several servers', () => {
    const several = [...urls, 'turn:other.example', 'turn:third.example'];
    const turn = new TurnCredentials({ urls: several, secret: 'north', ttlSeconds: 600 });
    const given = (session: string) => ['vw_a', 'vw_b'].map((viewer) => turn.issue(viewer, session)[0]?.urls.join());
    const perSession = Array.from({ length: 50 }, (_, i) => given(`ses_${i}`));
    for (const [first, second] of perSession) expect(second).toBe(first);
    expect(new Set(perSession.flat())).toEqual(new Set([urls.join(), 'turn:other.example', 'turn:third.example']));
  });

  it('are not issued without a TURN server', () => {
    let issued = 0;
    const turn = new TurnCredentials({ urls: [], secret: '', ttlSeconds: 600 }, () => issued++);
    expect(turn.issue('vw_abc', 'ses_1')).toEqual([]);
    expect(issued).toBe(0);
  });
});
