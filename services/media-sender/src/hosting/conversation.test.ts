import type { BargeIn, SessionEventBody } from '@humancast/protocol';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { noise } from '../../testing/voices.js';
import { type BargeInAction, type BargeInOutcome, Conversation } from './conversation.js';
import type { ViewerDelays } from './session-voices.js';

const VOICE = Int16Array.from(noise(320, -20));
const SILENCE = new Int16Array(320);
const DELAYS = { roundTripMs: 40, bufferMs: 80 };

class Rig {
  readonly events: SessionEventBody[] = [];
  readonly gains: number[] = [];
  readonly interrupted: string[] = [];
  readonly bargeIns: [BargeInAction, BargeInOutcome][] = [];
  readonly states: (string | undefined)[] = [];
  readonly asked: [fromMs: number, toMs: number][] = [];
  freed = 0;
  hasSpeech = false;
  readonly conversation: Conversation;

  constructor(bargeIn: BargeIn, awaitedMs?: number) {
    this.conversation = new Conversation({
      bargeIn,
      awaitedMs,
      bargeInsPerMinute: 6,
      hangoverMs: 200,
      nowMs: () => performance.now(),
      createClassifier: () => ({ isSpeech: () => true, free: () => this.freed++ }),
      player: this,
      voices: { stamp: (atMs) => ({ atMs: 1_000_000 + atMs }) },
      emit: (body) => this.events.push(body),
      interrupt: (viewer) => this.interrupted.push(viewer),
      onBargeIn: (action, outcome) => this.bargeIns.push([action, outcome]),
      onState: () => this.states.push(this.conversation.state),
    });
  }

  loudest(fromMs: number, toMs: number, out: Float64Array): void {
    this.asked.push([fromMs, toMs]);
    out.fill(0);
  }

  setGain(gain: number): void {
    this.gains.push(gain);
  }

  /** Says this for a time. The room's noise is known from silence before it. */
  say(pcm: Int16Array, ms: number, viewer = 'vw_12345678', delays: ViewerDelays = DELAYS): void {
    for (let i = 0; i < 10; i++) this.#hear(viewer, SILENCE, delays);
    for (let done = 0; done < ms; done += 20) {
      vi.advanceTimersByTime(20);
      this.#hear(viewer, pcm, delays);
    }
  }

  #hear(viewer: string, pcm: Int16Array, delays: ViewerDelays): void {
    const atMs = performance.now() - 20;
    this.conversation.heard(viewer, { pcm, atMs, concealed: false, gapMs: 0 }, delays);
  }

  get types(): string[] {
    return this.events.map(({ type }) => type);
  }
}

describe('Conversation', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('tells when a viewer speaks and when it has finished, and listens and thinks meanwhile', () => {
    const rig = new Rig('off');
    rig.say(SILENCE, 200);
    const begunMs = performance.now();
    rig.say(VOICE, 400);
    rig.say(SILENCE, 300);
    expect(rig.events).toEqual([
      { type: 'viewer.speaking', viewer: 'vw_12345678', saidAtMs: 1_000_000 + begunMs },
      { type: 'viewer.silent', viewer: 'vw_12345678', saidAtMs: 1_000_000 + begunMs + 400 },
    ]);
    expect(rig.states).toEqual(['listening', 'thinking']);
    rig.conversation.answered();
    expect(rig.conversation.state).toBeUndefined();
    expect(rig.interrupted).toEqual([]);
  });

  it('asks for what was played within the possible delays of its echo', () => {
    const rig = new Rig('off');
    rig.say(VOICE, 20);
    const atMs = performance.now() - 20;
    expect(rig.asked.at(-1)).toEqual([atMs - 40 - 80 - 350, atMs - 40 + 20]);
  });

  it('never asks for what was played before the last echo when the delays grow', () => {
    const rig = new Rig('off');
    rig.say(SILENCE, 100);
    const [fromMs, toMs] = rig.asked.at(-1) ?? [];
    rig.say(SILENCE, 20, 'vw_12345678', { roundTripMs: 90, bufferMs: 200 });
    expect(rig.asked.at(-1)).toEqual([fromMs, toMs]);
    // Once time has caught up, the delays count again.
    rig.say(SILENCE, 400, 'vw_12345678', { roundTripMs: 90, bufferMs: 200 });
    const atMs = performance.now() - 20;
    expect(rig.asked.at(-1)).toEqual([atMs - 90 - 200 - 350, atMs - 90 + 20]);
  });

  it('goes on thinking for another host, for half a minute in all', () => {
    const before = new Rig('off');
    expect(before.conversation.awaitedMs).toBeUndefined();
    before.say(SILENCE, 200);
    before.say(VOICE, 400);
    expect(before.conversation.awaitedMs).toBe(0);
    before.say(SILENCE, 300);
    vi.advanceTimersByTime(10_000);
    const { awaitedMs } = before.conversation;
    expect(awaitedMs).toBeGreaterThanOrEqual(10_000);
    const next = new Rig('off', awaitedMs);
    expect(next.conversation.state).toBe('thinking');
    vi.advanceTimersByTime(30_000 - (awaitedMs ?? 0) - 1);
    expect(next.states).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(next.states).toEqual([undefined]);
    expect(new Rig('off', 30_000).conversation.state).toBeUndefined();
  });

  it('hands no wait over for what is said during the speech', () => {
    const rig = new Rig('off');
    rig.hasSpeech = true;
    rig.say(SILENCE, 200);
    rig.say(VOICE, 400);
    expect(rig.types).toEqual(['viewer.speaking']);
    expect(rig.conversation.awaitedMs).toBeUndefined();
  });

  it('thinks no longer than half a minute about an answer that does not come, and not while others speak', () => {
    const rig = new Rig('off');
    rig.say(VOICE, 100, 'vw_12345678');
    rig.say(VOICE, 600, 'vw_another1');
    expect(rig.types).toEqual(['viewer.speaking', 'viewer.speaking', 'viewer.silent']);
    expect(rig.conversation.state).toBe('listening');
    vi.advanceTimersByTime(1000);
    expect(rig.conversation.state).toBe('thinking');
    vi.advanceTimersByTime(30_000);
    expect(rig.conversation.state).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('is silent once a viewer sends nothing more, or has left', () => {
    const rig = new Rig('off');
    rig.say(VOICE, 100);
    vi.advanceTimersByTime(600);
    expect(rig.types).toEqual(['viewer.speaking', 'viewer.silent']);
    rig.say(VOICE, 100);
    rig.conversation.forget('vw_12345678');
    expect(rig.types).toEqual(['viewer.speaking', 'viewer.silent', 'viewer.speaking', 'viewer.silent']);
    expect(rig.freed).toBe(1);
    rig.conversation.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([true, false])('interrupts speech, if there is any (%s), once for each onset', (hasSpeech) => {
    const rig = new Rig('stop');
    rig.hasSpeech = hasSpeech;
    rig.say(VOICE, 400);
    expect(rig.interrupted).toEqual(hasSpeech ? ['vw_12345678'] : []);
    expect(rig.types).toEqual(['viewer.speaking']);
  });

  it('does not think after a remark during the speech', () => {
    const rig = new Rig('off');
    rig.hasSpeech = true;
    rig.say(VOICE, 400);
    rig.say(SILENCE, 300);
    expect(rig.states).toEqual(['listening', undefined]);
  });

  it('ducks while anybody speaks', () => {
    const rig = new Rig('duck');
    rig.say(VOICE, 100, 'vw_12345678');
    rig.say(VOICE, 100, 'vw_another1');
    rig.conversation.forget('vw_12345678');
    expect(rig.gains.every((gain) => gain < 0.2)).toBe(true);
    rig.conversation.forget('vw_another1');
    expect(rig.gains.at(-1)).toBe(1);
    expect(rig.interrupted).toEqual([]);
  });

  it('tells of each voice over speech what it did, and whether it was brief', () => {
    const rig = new Rig('stop');
    rig.say(VOICE, 400);
    rig.say(SILENCE, 300);
    rig.hasSpeech = true;
    rig.say(VOICE, 400);
    expect(rig.bargeIns).toEqual([]);
    rig.say(SILENCE, 300);
    rig.say(VOICE, 100);
    rig.say(SILENCE, 300);
    expect(rig.bargeIns).toEqual([
      ['stop', 'confirmed'],
      ['stop', 'brief'],
    ]);
    const ducked = new Rig('duck');
    ducked.hasSpeech = true;
    ducked.say(VOICE, 400);
    ducked.conversation.forget('vw_12345678');
    expect(ducked.bargeIns).toEqual([['duck', 'confirmed']]);
  });

  it('lets a viewer stop the speech only so often, and still tells when the viewer speaks', () => {
    const rig = new Rig('stop');
    rig.hasSpeech = true;
    for (let i = 0; i < 20; i++) {
      rig.say(VOICE, 100);
      rig.say(SILENCE, 220);
    }
    expect(rig.interrupted).toHaveLength(6);
    expect(rig.bargeIns.filter(([, outcome]) => outcome === 'limited')).toHaveLength(14);
    expect(rig.types.filter((type) => type === 'viewer.speaking')).toHaveLength(20);
    // Others have a budget of their own, and it comes back.
    rig.say(VOICE, 100, 'vw_another1');
    vi.advanceTimersByTime(10_000);
    rig.say(VOICE, 100);
    expect(rig.interrupted.slice(6)).toEqual(['vw_another1', 'vw_12345678']);
  });

  it('does not duck for longer than half a minute for a voice that does not end', () => {
    const rig = new Rig('duck');
    rig.hasSpeech = true;
    const talk = (seconds: number) => {
      // With short pauses; what never changes is noise.
      for (let i = 0; i < 10 * seconds; i++) rig.say(VOICE, 100);
    };
    talk(29);
    expect(rig.gains.at(-1)).toBeLessThan(0.2);
    talk(2);
    expect(rig.gains.at(-1)).toBe(1);
    expect(rig.types).toEqual(['viewer.speaking']);
    rig.conversation.forget('vw_12345678');
    rig.conversation.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('ignores onsets of many viewers beyond a rate, and tells the end of those that it has told', () => {
    const rig = new Rig('off');
    const viewers = Array.from({ length: 200 }, (_, i) => `vw_${i}`);
    // All of them at once.
    const silent = { pcm: SILENCE, concealed: false, gapMs: 0 };
    const atMs = performance.now();
    for (const viewer of viewers) {
      for (let i = 0; i < 10; i++) rig.conversation.heard(viewer, { ...silent, atMs }, DELAYS);
      for (let i = 0; i < 5; i++)
        rig.conversation.heard(viewer, { ...silent, pcm: VOICE, atMs: atMs + 20 * i }, DELAYS);
    }
    expect(rig.types).toHaveLength(100);
    for (const viewer of viewers) rig.conversation.forget(viewer);
    expect(rig.types.filter((type) => type === 'viewer.silent')).toHaveLength(100);
    expect(rig.freed).toBe(200);
    expect(rig.conversation.state).toBe('thinking');
    rig.conversation.close();
  });
});
