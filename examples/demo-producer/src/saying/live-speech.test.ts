import { NEUTRAL_POSE } from '@humancast/demo-face';
import { beforeEach, describe, expect, it } from 'vitest';
import { SAMPLES_PER_FRAME, type Utterance } from '../speech/utterances.js';
import { type Pacemaker, pushSpeech } from './live-speech.js';

const DRAW_MS = 10;

describe('pushSpeech()', () => {
  let nowMs: number;
  /** Times at which frames were pushed, ms. */
  let frames: number[];
  let audioPushes: number;
  let texts: (readonly [text: string, atMs: number | undefined, untilMs: number, framesBefore: number])[];
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
      audioPushes++;
    },
    pushText: async (text: string, { atMs, untilMs }: { atMs?: number; untilMs: number }) => {
      texts.push([text, atMs, untilMs, frames.length]);
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
    audioPushes = 0;
    texts = [];
  });

  async function* utterances(...lengths: number[]): AsyncGenerator<Utterance> {
    for (const [index, length] of lengths.entries()) {
      const said = { text: `sentence ${index}`, saidFromMs: 50, saidUntilMs: (length * 1000) / 30 - 300 };
      yield { frames: length, ...said, poseAt: () => NEUTRAL_POSE, audioOf: () => new Int16Array(SAMPLES_PER_FRAME) };
    }
  }
  const options = { aheadMs: 200, signal: new AbortController().signal };

  it('pushes without pause until it is aheadMs ahead, then in real time', async () => {
    await pushSpeech(push, utterances(60, 60), camera, options, time);
    expect(frames.slice(0, 7)).toEqual([1010, 1020, 1030, 1040, 1050, 1060, 1070]);
    for (const [frame, pushedMs] of frames.entries()) {
      const dueMs = 1000 + (frame * 1000) / 30;
      expect(dueMs - pushedMs).toBeLessThanOrEqual(200);
      if (frame > 10) expect(dueMs - pushedMs).toBeGreaterThan(150);
    }
    expect([frames.length, audioPushes]).toEqual([120, 120]);
  });

  it('pushes the text of each utterance before its frames, with its positions in the push', async () => {
    await pushSpeech(push, utterances(60, 30), camera, options, time);
    expect(texts).toEqual([
      ['sentence 0', 50, 1700, 0],
      ['sentence 1', 2050, 2700, 60],
    ]);
  });

  it('yields to the event loop after every frame, even when late', async () => {
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

  it('stops at the next frame once the signal aborts', async () => {
    const abort = new AbortController();
    const onStart = () => abort.abort(new Error('enough'));
    const speech = pushSpeech(push, utterances(60), camera, { aheadMs: 200, signal: abort.signal, onStart }, time);
    await expect(speech).rejects.toThrow('enough');
    expect(frames).toHaveLength(1);
  });
});
