import type { SessionEvent } from '@humancast/protocol';
import { ReportLine, TrackCheck } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { PlaybackLog } from './playback-log.ts';
import { eventFaults } from './session-load.ts';

/** Tests of the checks that the load and fault tools rely on. */
describe('checks of the load and fault tools', () => {
  const faultsOf = (packets: readonly (readonly [sequence: number, timestamp: number])[]) => {
    const check = new TrackCheck('audio');
    for (const [sequence, timestamp] of packets) check.add(sequence, timestamp);
    return check.faults;
  };

  it('TrackCheck finds no fault in a correct track, also across wrap-around', () => {
    const packets = Array.from(
      { length: 5 },
      (_, i) => [(65_534 + i) & 0xffff, (4_294_966_000 + 960 * i) >>> 0] as const,
    );
    expect(faultsOf(packets)).toEqual({
      packets: 5,
      lost: 0,
      reordered: 0,
      duplicates: 0,
      badTimestamps: 0,
      skippedTicks: 0,
    });
  });

  it('TrackCheck finds lost, reordered and duplicate packets', () => {
    expect(
      faultsOf([
        [1, 0],
        [3, 1920],
      ]),
    ).toMatchObject({ lost: 1, reordered: 0 });
    expect(
      faultsOf([
        [1, 0],
        [3, 1920],
        [2, 960],
      ]),
    ).toMatchObject({ lost: 0, reordered: 1 });
    expect(
      faultsOf([
        [1, 0],
        [1, 0],
      ]),
    ).toMatchObject({ duplicates: 1 });
  });

  it('TrackCheck distinguishes a pause of the host from wrong timestamps', () => {
    expect(
      faultsOf([
        [1, 0],
        [2, 960 * 51],
      ]),
    ).toMatchObject({ skippedTicks: 48_000, badTimestamps: 0 });
    expect(
      faultsOf([
        [1, 0],
        [2, 961],
      ]),
    ).toMatchObject({ skippedTicks: 0, badTimestamps: 1 });
    expect(
      faultsOf([
        [1, 960],
        [2, 0],
      ]),
    ).toMatchObject({ badTimestamps: 1 });
  });

  it('ReportLine measures the distance of a sender report from the line', () => {
    const line = new ReportLine('video');
    line.add({ ssrc: 1, ntp: 0n, rtpTimestamp: 100 });
    line.add({ ssrc: 1, ntp: 1n << 32n, rtpTimestamp: 90_100 });
    expect(line.worstMs).toBe(0);
    line.add({ ssrc: 1, ntp: 2n << 32n, rtpTimestamp: 180_100 + 90 });
    expect(line.worstMs).toBeCloseTo(1);
  });

  it('eventFaults() finds segments that were reported twice or never', () => {
    const finished = (seq: number) => ({ type: 'speech.finished', seq }) as SessionEvent;
    expect(eventFaults([finished(1), finished(2)], [1, 2])).toEqual([]);
    expect(eventFaults([finished(1), finished(1)], [1, 2])).toEqual([
      'segment 1 was reported as over 2 times',
      'segment 2 was reported as over 0 times',
    ]);
  });

  it('PlaybackLog finds the frame at which a new host resumed, and missing frames', () => {
    const frames = new Map(Array.from({ length: 100 }, (_, i) => [`frame ${i}`, i]));
    const playback = new PlaybackLog({ frames, gopFrames: 25, fps: 25 });
    let lost = 0;
    const show = (epoch: number, ...shown: number[]) => {
      for (const frame of shown)
        playback.add({ arrivedMs: 0, epoch, connection: `c${epoch}`, digest: `frame ${frame}`, lost });
    };
    show(1, 58, 59, 60);
    show(2, 50, 51, 52);
    expect(playback.resumptions).toEqual([{ epoch: 2, lastFrame: 60, firstFrame: 50, again: 11 }]);
    expect(playback.skips).toBe(0);
    show(2, 60);
    expect(playback.skips).toBe(1);
    lost++;
    show(2, 63);
    expect(playback.skips).toBe(1);
    show(3, 75);
    expect(playback.resumptions.at(-1)?.again).toBeGreaterThan(80);
  });
});
