import { describe, expect, it } from 'vitest';
import { TurnCredentials } from './turn-credentials.js';

describe('TurnCredentials', () => {
  const urls = ['turn:turn.example:3478?transport=udp', 'turn:turn.example:3478?transport=tcp'];

  it('names the expiry and the holder, and signs them as coturn expects', () => {
    const turn = new TurnCredentials({ urls, secret: 'north', ttlSeconds: 600 }, undefined, () => 1_700_000_000_500);
    // printf '1700000600:vw_abc' | openssl dgst -sha1 -hmac north -binary | base64
    expect(turn.issue('vw_abc')).toEqual([
      { urls, username: '1700000600:vw_abc', credential: '+7yA2E+TGAczB1bsZiVoLpz2Go8=' },
    ]);
  });

  it('issues nothing where there is no TURN server', () => {
    let issued = 0;
    const turn = new TurnCredentials({ urls: [], secret: '', ttlSeconds: 600 }, () => issued++);
    expect(turn.issue('vw_abc')).toEqual([]);
    expect(issued).toBe(0);
  });
});
