import { NEUTRAL_POSE } from '@humancast/demo-face';
import { beforeEach, describe, expect, it } from 'vitest';
import { SAMPLES_PER_FRAME, type Utterance } from '../speech/utterances.js';
import { type Pacemaker, pushSpeech } from './live-speech.js';

const DRAW_MS = 10;

describe('pushing speech', () => {
  let nowMs: number;
  /** When each frame was pushed. */
  let frames: number[];
  let sounds: number;
  const time: Pacemaker = {
    nowMs: () => nowMs,
    sleep: async (ms, signal) => {
      signal.throwIfAborted();
      nowMs += ms;
    },
  };
  const push = {
    pushVideo: async () => void frames.push(nowMs),
    pushAudio: async () => {
      sounds++;
    },
  };
  const camera = {
    frameOf: () => {
      nowMs += DRAW_MS;
      return Buffer.alloc(1);
    },
  };
  beforeEach(() => {
    nowMs = 1000;
    frames = [];
    sounds = 0;
  });

  async function* utterances(...lengths: number[]): AsyncGenerator<Utterance> {
    for (const length of lengths) {
      yield { frames: length, poseAt: () => NEUTRAL_POSE, audioOf: () => new Int16Array(SAMPLES_PER_FRAME) };
    }
  }
  const options = { aheadMs: 200, signal: new AbortController().signal };

  it('is as fast as it can until it is ahead, and then as fast as it is heard', async () => {
    await pushSpeech(push, utterances(60, 60), camera, options, time);
    expect(frames.slice(0, 7)).toEqual([1010, 1020, 1030, 1040, 1050, 1060, 1070]);
    for (const [frame, pushedMs] of frames.entries()) {
      const dueMs = 1000 + (frame * 1000) / 30;
      expect(dueMs - pushedMs).toBeLessThanOrEqual(200);
      if (frame > 10) expect(dueMs - pushedMs).toBeGreaterThan(150);
    }
    expect([frames.length, sounds]).toEqual([120, 120]);
  });

  it('goes round the event loop after every frame, also when it is late', async () => {
    const naps: number[] = [];
    const slow = {
      frameOf: () => {
        nowMs += 90;
        return Buffer.alloc(1);
      },
    };
    const counted: Pacemaker = { ...time, sleep: async (ms) => void naps.push(ms) };
    await pushSpeech(push, utterances(5), slow, options, counted);
    expect(naps).toEqual([0, 0, 0, 0, 0]);
  });

  it('stops at the next frame when it is told to', async () => {
    const abort = new AbortController();
    const onStart = () => abort.abort(new Error('enough'));
    const speech = pushSpeech(push, utterances(60), camera, { aheadMs: 200, signal: abort.signal, onStart }, time);
    await expect(speech).rejects.toThrow('enough');
    expect(frames).toHaveLength(1);
  });
});
