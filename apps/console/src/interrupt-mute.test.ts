import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { InterruptMute } from './interrupt-mute.js';

describe('InterruptMute', () => {
  const element = { volume: 1, muted: false };
  let mute: InterruptMute;
  beforeEach(() => {
    vi.useFakeTimers();
    element.volume = 1;
    mute = new InterruptMute(element);
  });
  afterEach(() => vi.useRealTimers());

  it('mutes until media sent before the interruption has played', () => {
    mute.begin();
    expect(element.volume).toBe(0);
    vi.advanceTimersByTime(60);
    mute.onEvent({ type: 'speech.finished' });
    vi.advanceTimersByTime(550);
    expect(element.volume).toBe(0);
    vi.advanceTimersByTime(100);
    expect(element.volume).toBe(1);
  });

  it('unmutes when the next speech starts', () => {
    mute.begin();
    mute.onEvent({ type: 'speech.finished' });
    mute.onEvent({ type: 'speech.started' });
    expect(element.volume).toBe(1);
  });

  it('unmutes after 1.5 s if there was nothing to interrupt', () => {
    mute.begin();
    mute.onEvent({ type: 'viewer.connected' });
    vi.advanceTimersByTime(1500);
    expect(element.volume).toBe(1);
  });

  describe('with a read-only volume, as on iOS', () => {
    const phone = {
      muted: false,
      get volume() {
        return 1;
      },
      set volume(_: number) {},
    };

    it('mutes the element, and unmutes it again', () => {
      phone.muted = false;
      const mute = new InterruptMute(phone);
      mute.begin();
      expect(phone.muted).toBe(true);
      mute.onEvent({ type: 'speech.started' });
      expect(phone.muted).toBe(false);
    });

    it('leaves an element muted that was muted before', () => {
      phone.muted = true;
      const mute = new InterruptMute(phone);
      mute.begin();
      mute.end();
      expect(phone.muted).toBe(true);
    });
  });

  it('does not touch the volume unless begin() was called', () => {
    element.volume = 0.5;
    mute.onEvent({ type: 'speech.finished' });
    mute.end();
    vi.advanceTimersByTime(5000);
    expect(element.volume).toBe(0.5);
  });
});
