import { describe, expect, it } from 'vitest';
import { MicrophoneFeed } from './microphone-feed.js';

const RATE = 24_000;
const FRAME = new Int16Array(480).fill(1);

function feed() {
  const clock = { nowMs: 1000 };
  const appended: Int16Array[] = [];
  const microphone = new MicrophoneFeed(
    RATE,
    (pcm) => appended.push(pcm),
    () => clock.nowMs,
  );
  /** Lets time pass, polling every 40 ms. */
  const wait = (ms: number) => {
    for (let passed = 0; passed < ms; passed += 40) {
      clock.nowMs += 40;
      microphone.poll();
    }
  };
  const seconds = () => appended.reduce((sum, { length }) => sum + length, 0) / RATE;
  return { clock, appended, microphone, wait, seconds };
}

describe('MicrophoneFeed', () => {
  it('is silent until somebody speaks', () => {
    const { wait, appended } = feed();
    wait(2000);
    expect(appended).toEqual([]);
  });

  it('passes a voice on as it is, and fills a pause with silence in real time, for five seconds', () => {
    const { microphone, wait, appended, seconds } = feed();
    microphone.hear('one', FRAME);
    expect(appended[0]).toBe(FRAME);
    wait(1000);
    expect(seconds()).toBeCloseTo(1, 0);
    expect(appended.slice(1).every((pcm) => pcm.every((sample) => sample === 0))).toBe(true);
    wait(20_000);
    expect(seconds()).toBeGreaterThan(4.8);
    expect(seconds()).toBeLessThan(5.1);
    microphone.hear('one', FRAME);
    expect(appended.at(-1)).toBe(FRAME);
  });

  it('adds nothing to a voice that flows', () => {
    const { microphone, clock, appended } = feed();
    for (let i = 0; i < 50; i++) {
      microphone.hear('one', FRAME);
      clock.nowMs += 20;
      microphone.poll();
    }
    expect(appended).toHaveLength(50);
  });

  it('hears one viewer at a time', () => {
    const { microphone, wait, appended } = feed();
    microphone.hear('one', FRAME);
    microphone.hear('two', FRAME);
    expect(appended).toHaveLength(1);
    wait(1200);
    const other = FRAME.slice();
    microphone.hear('two', other);
    expect(appended.at(-1)).toBe(other);
  });
});
