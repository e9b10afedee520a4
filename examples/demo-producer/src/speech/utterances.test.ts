import { NEUTRAL_POSE, SPEECH_SAMPLE_RATE, type Speech } from '@humancast/demo-face';
import { describe, expect, it } from 'vitest';
import { SAMPLES_PER_FRAME, type Utterance, utterancesOf } from './utterances.js';

const SPEECH: Speech = {
  pcm: new Int16Array(24_000).fill(1000),
  phonemes: [{ ipa: 'a', stress: 2, startSeconds: 0, endSeconds: 0.5 }],
  words: [{ text: 'a', startSeconds: 0, endSeconds: 0.5 }],
};

/** A synthesizer whose results the test resolves. */
function byHand() {
  const asked: string[] = [];
  const pending: PromiseWithResolvers<Speech>[] = [];
  const synthesize = (text: string) => {
    asked.push(text);
    const speech = Promise.withResolvers<Speech>();
    pending.push(speech);
    return speech.promise;
  };
  return { asked, pending, synthesize };
}

async function first(text: string): Promise<Utterance> {
  const { value } = await utterancesOf(text, '', async () => SPEECH).next();
  if (!value) throw new Error('there is no utterance');
  return value;
}

describe('utterancesOf()', () => {
  it('synthesizes one sentence ahead, and no more', async () => {
    const { asked, pending, synthesize } = byHand();
    const utterances = utterancesOf('One. Two. Three. Four.', 'en', synthesize);
    const one = utterances.next();
    expect(asked).toEqual(['One.']);
    pending[0]?.resolve(SPEECH);
    await one;
    expect(asked).toEqual(['One.', 'Two.']);
    pending[1]?.resolve(SPEECH);
    await utterances.next();
    expect(asked).toEqual(['One.', 'Two.', 'Three.']);
    pending[2]?.resolve(SPEECH);
    expect((await utterances.next()).value?.text).toBe('Three.');
    await utterances.return();
    pending[3]?.reject(new Error('synthesis of an unused sentence'));
  });

  it('rejects when synthesis fails', async () => {
    const utterances = utterancesOf('One.', 'en', () => Promise.reject(new Error('synthesis failed')));
    await expect(utterances.next()).rejects.toThrow('synthesis failed');
  });

  it('yields all audio, with silence and a neutral face at both ends', async () => {
    const utterance = await first('Ah.');
    const frames = Array.from({ length: utterance.frames }, (_, frame) => utterance.audioOf(frame));
    expect(frames.every(({ length }) => length === SAMPLES_PER_FRAME)).toBe(true);
    const samples = frames.flatMap((frame) => [...frame]);
    expect(samples.filter((sample) => sample !== 0)).toHaveLength(SPEECH.pcm.length);
    const atMs = (sample: number) => (sample * 1000) / SPEECH_SAMPLE_RATE;
    expect(utterance.saidFromMs).toBeCloseTo(atMs(samples.findIndex((sample) => sample !== 0)));
    expect(utterance.saidUntilMs).toBeCloseTo(atMs(samples.findLastIndex((sample) => sample !== 0) + 1));
    expect(frames[0]?.every((sample) => sample === 0)).toBe(true);
    expect(frames.at(-1)?.every((sample) => sample === 0)).toBe(true);
    for (const pose of [utterance.poseAt(0), utterance.poseAt(utterance.frames)]) {
      expect(pose.mouth.open).toBeLessThan(0.05);
      expect(pose.head.pitch).toBeCloseTo(NEUTRAL_POSE.head.pitch, 5);
    }
    expect(utterance.poseAt(8).mouth.open).toBeGreaterThan(0.3);
  });

  it('begins the first utterance in the requested pose', async () => {
    const left = { ...NEUTRAL_POSE, head: { yaw: -0.3, pitch: 0.1, tilt: 0 } };
    const utterances = utterancesOf(
      'One. Two.',
      '',
      async () => SPEECH,
      async () => left,
    );
    const [one, two] = [await utterances.next(), await utterances.next()].map(({ value }) => value as Utterance);
    expect(one?.poseAt(0).head).toEqual(left.head);
    expect(two?.poseAt(0).head.yaw).toBeCloseTo(0);
  });
});
