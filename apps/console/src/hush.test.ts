import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Hush } from './hush.js';

describe('a hush', () => {
  const sound = { volume: 1, muted: false };
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

  describe('where the volume is read-only, as on iOS', () => {
    const phone = {
      muted: false,
      get volume() {
        return 1;
      },
      set volume(_: number) {},
    };

    it('mutes the element, and turns its sound on again', () => {
      phone.muted = false;
      const quiet = new Hush(phone);
      quiet.begin();
      expect(phone.muted).toBe(true);
      quiet.see({ type: 'speech.started' });
      expect(phone.muted).toBe(false);
    });

    it('leaves an element muted that was muted before', () => {
      phone.muted = true;
      const quiet = new Hush(phone);
      quiet.begin();
      quiet.end();
      expect(phone.muted).toBe(true);
    });
  });

  it('does not touch the volume when nobody asked for it', () => {
    sound.volume = 0.5;
    hush.see({ type: 'speech.finished' });
    hush.end();
    vi.advanceTimersByTime(5000);
    expect(sound.volume).toBe(0.5);
  });
});
