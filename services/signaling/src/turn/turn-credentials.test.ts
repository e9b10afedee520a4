import { describe, expect, it } from 'vitest';
import { TurnCredentials } from './turn-credentials.js';

describe('TurnCredentials', () => {
  const urls = ['turn:turn.example:3478?transport=udp', 'turn:turn.example:3478?transport=tcp'];

  it('contain expiry and holder, signed as coturn expects', () => {
    const turn = new TurnCredentials({ urls, secret: 'north', ttlSeconds: 600 }, undefined, () => 1_700_000_000_500);
    // printf '1700000600:vw_abc' | openssl dgst -sha1 -hmac north -binary | base64
    expect(turn.issue('vw_abc')).toEqual([
      { urls, username: '1700000600:vw_abc', credential: '+7yA2E+TGAczB1bsZiVoLpz2Go8=' },
    ]);
  });

  it('give a viewer the same one of several servers each time, whichever process issues them', () => {
    const others = ['turn:other.example', 'turn:third.example'];
    const [one, two] = [
      [...urls, ...others],
      [...others, ...urls],
    ].map((list) => new TurnCredentials({ urls: list, secret: 'north', ttlSeconds: 600 }));
    const given = Array.from({ length: 50 }, (_, i) =>
      [one, two].map((turn) => turn?.issue(`vw_${i}`)[0]?.urls.join()),
    );
    for (const [first, second] of given) expect(second).toBe(first);
    expect(new Set(given.flat())).toEqual(new Set([urls.join(), ...others]));
  });

  it('are not issued without a TURN server', () => {
    let issued = 0;
    const turn = new TurnCredentials({ urls: [], secret: '', ttlSeconds: 600 }, () => issued++);
    expect(turn.issue('vw_abc')).toEqual([]);
    expect(issued).toBe(0);
  });
});
