import type { SessionEvent } from '@humancast/client';
import { describe, expect, it } from 'vitest';
import { type Activity, EMPTY, seconds, withEvent, withState } from './activity.js';

let made = 0;
const event = (body: object) =>
  ({ id: `${made++}-0`, session: 'ses_12345678', atMs: 1000, ...body }) as unknown as SessionEvent;
const started = (seq: number) => event({ type: 'speech.started', seq, segment: `seg_${seq}` });
const finished = (seq: number, reason = 'finished', positionMs = 1500) =>
  event({ type: 'speech.finished', seq, segment: `seg_${seq}`, reason, positionMs, interrupted: false });
const item = (seq: number) => ({ seq, segment: `seg_${seq}` });
const run = (from: Activity, ...events: SessionEvent[]) => events.reduce(withEvent, from);

describe('activity', () => {
  it('withEvent() follows speech as it starts and finishes', () => {
    const queued = withState(EMPTY, {
      queue: [item(1), item(2)],
      playhead: { segment: 'seg_idle', role: 'idle', positionMs: 0 },
    });
    expect(queued).toMatchObject({ speaking: undefined, queue: [item(1), item(2)] });
    const speaking = run(queued, started(1));
    expect(speaking).toMatchObject({ speaking: item(1), queue: [item(2)] });
    const next = run(speaking, finished(1), started(2));
    expect(next).toMatchObject({ speaking: item(2), queue: [] });
    expect(run(next, finished(2)).speaking).toBeUndefined();
  });

  it('withEvent() keeps the current segment when an earlier one finishes late', () => {
    expect(run(EMPTY, started(1), started(2), finished(1)).speaking).toEqual(item(2));
  });

  it('withEvent() removes segments that an interruption dropped', () => {
    const queued = withState(EMPTY, {
      queue: [item(1), item(2)],
      playhead: { segment: 'seg_1', role: 'speech', positionMs: 0 },
    });
    expect(queued).toMatchObject({ speaking: item(1), queue: [item(2)] });
    const after = run(queued, finished(1, 'interrupted', 820), finished(2, 'dropped', 0));
    expect(after).toMatchObject({ speaking: undefined, queue: [] });
    expect(after.log.map(({ text }) => text)).toEqual(['dropped', 'interrupted after 0.8 s']);
  });

  it('withEvent() logs how long playback waited for late media', () => {
    const held = (heldMs: number) => event({ type: 'playback.held', segment: 'seg_1', heldMs });
    expect(run(EMPTY, held(20), held(2340)).log.map(({ text }) => text)).toEqual([
      'waited 2.3 s for late media',
      'waited 20 ms for late media',
    ]);
  });

  it('withEvent() logs an event once when it is delivered twice, and keeps 30 entries', () => {
    const once = started(1);
    expect(run(EMPTY, once, once).log).toHaveLength(1);
    expect(run(EMPTY, ...Array.from({ length: 100 }, (_, i) => started(i))).log).toHaveLength(30);
  });
});

it('seconds() formats short and long durations', () => {
  expect([seconds(0), seconds(3149), seconds(59_900), seconds(125_000)]).toEqual(['0.0 s', '3.1 s', '59.9 s', '2:05']);
});
