import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Hush } from './hush.js';

describe('a hush', () => {
  const sound = { volume: 1 };
  let hush: Hush;
  beforeEach(() => {
    vi.useFakeTimers();
    sound.volume = 1;
    hush = new Hush(sound);
  });
  afterEach(() => vi.useRealTimers());

  it('lasts until what was sent before the cut has been played', () => {
    hush.begin();
    expect(sound.volume).toBe(0);
    vi.advanceTimersByTime(60);
    hush.see({ type: 'speech.finished' });
    vi.advanceTimersByTime(550);
    expect(sound.volume).toBe(0);
    vi.advanceTimersByTime(100);
    expect(sound.volume).toBe(1);
  });

  it('ends when the next speech begins', () => {
    hush.begin();
    hush.see({ type: 'speech.finished' });
    hush.see({ type: 'speech.started' });
    expect(sound.volume).toBe(1);
  });

  it('ends by itself where there was nothing to interrupt', () => {
    hush.begin();
    hush.see({ type: 'viewer.connected' });
    vi.advanceTimersByTime(1500);
    expect(sound.volume).toBe(1);
  });

  it('does not touch the volume when nobody asked for it', () => {
    sound.volume = 0.5;
    hush.see({ type: 'speech.finished' });
    hush.end();
    vi.advanceTimersByTime(5000);
    expect(sound.volume).toBe(0.5);
  });
});
