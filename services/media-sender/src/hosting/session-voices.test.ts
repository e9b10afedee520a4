import type { Heard } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import type { Clip } from '../playout/clip.js';
import { SessionVoices } from './session-voices.js';

const clip = { segment: 'seg_12345678', role: 'speech' } as Clip;
const PCM = new Int16Array(320);

describe('SessionVoices', () => {
  it('stamps a frame with when it was said and what the viewer was hearing', () => {
    const published: Heard[] = [];
    const asked: number[] = [];
    const voices = new SessionVoices({
      epoch: 3,
      publish: (heard) => published.push(heard),
      playedAt: (atMs) => {
        asked.push(atMs);
        return { clip, seq: 2, positionSamples: 4800 };
      },
      nowMs: () => 1000,
      wallMs: () => 50_000,
    });
    const delays = { roundTripMs: 40, bufferMs: 100 };
    voices.heard('vw_12345678', { pcm: PCM, atMs: 960, concealed: false, gapMs: 0 }, delays);
    voices.heard('vw_12345678', { pcm: PCM, atMs: 980, concealed: true, gapMs: 60 }, delays);
    voices.heard(
      'vw_another1',
      { pcm: PCM, atMs: 980, concealed: false, gapMs: 0 },
      { roundTripMs: undefined, bufferMs: undefined },
    );
    expect(asked).toEqual([820, 840, 920]);
    const playing = { segment: 'seg_12345678', role: 'speech', seq: 2, positionMs: 100 };
    expect(published).toEqual([
      { viewer: 'vw_12345678', epoch: 3, frame: 0, atMs: 49_940, playing },
      { viewer: 'vw_12345678', epoch: 3, frame: 1, atMs: 49_960, playing, concealed: true, gapMs: 60 },
      { viewer: 'vw_another1', epoch: 3, frame: 0, atMs: 49_980, playing },
    ]);
  });
});
