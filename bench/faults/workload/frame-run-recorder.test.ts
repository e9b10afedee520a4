import { describe, expect, it } from 'vitest';
import type { HistoryInput } from '../history.ts';
import { FrameRunRecorder } from './frame-run-recorder.ts';

function record(frames: readonly (readonly [digest: string, arrivedMs: number, more?: object])[]): HistoryInput[] {
  const records: HistoryInput[] = [];
  const recorder = new FrameRunRecorder({
    session: 's',
    viewer: 'v',
    originMs: 0,
    history: { add: (record) => records.push(record) },
    catalog: {
      find: (digest) => (digest === 'idle' ? undefined : { segment: digest[0] ?? '', frame: Number(digest.slice(1)) }),
    },
  });
  for (const [digest, arrivedMs, more] of frames)
    recorder.add({ digest, arrivedMs, epoch: 1, connection: 'c', lost: 0, ...more });
  recorder.flush();
  return records;
}

describe('FrameRunRecorder', () => {
  it('records consecutive frames of a segment as one run', () => {
    expect(
      record([
        ['a0', 0],
        ['a1', 40],
        ['a2', 80],
        ['b0', 120],
        ['idle', 160],
      ]),
    ).toMatchObject([
      { segment: 'a', firstFrame: 0, lastFrame: 2, fromMs: 0, untilMs: 80, catchUp: 0 },
      { segment: 'b', firstFrame: 0, lastFrame: 0, fromMs: 120, untilMs: 120 },
    ]);
  });

  it('starts a new run after a missing frame, after idle and on another connection', () => {
    const runs = record([
      ['a0', 0],
      ['a2', 40, { lost: 1 }],
      ['idle', 80],
      ['a3', 120, { lost: 1 }],
      ['a4', 160, { lost: 1, connection: 'd' }],
    ]);
    expect(runs).toMatchObject([
      { firstFrame: 0, lostBefore: 0, lostAfter: 0 },
      { firstFrame: 2, lostBefore: 1 },
      { firstFrame: 3 },
      { firstFrame: 4, connection: 'd' },
    ]);
  });

  it('counts the leading frames of one burst, which may pause once', () => {
    const arrivals = [0, 1, 30, 31, 71, 111, 112];
    expect(record(arrivals.map((atMs, i) => [`a${25 + i}`, atMs]))).toMatchObject([
      { firstFrame: 25, lastFrame: 31, catchUp: 3 },
    ]);
  });
});
