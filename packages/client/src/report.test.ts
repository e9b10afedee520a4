import { reportSchema } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import { meanDelayMs, readReceiverStats, skewMsOf } from './receiver-stats.js';
import { NOTHING_YET, reportBetween, statsBetween } from './report.js';

/** Statistics as of Chromium 156, after `seconds` with a lost packet and a freeze in each. */
function chromium(seconds: number, playout: { audio?: number; video?: number; apartMs?: number } = {}) {
  const timestamp = 1_795_000_000_000 + seconds * 1000;
  const audio = {
    type: 'inbound-rtp',
    kind: 'audio',
    timestamp,
    packetsReceived: 50 * seconds,
    packetsLost: seconds,
    bytesReceived: 4000 * seconds,
    concealedSamples: 960 * seconds,
    jitterBufferDelay: 0.04 * 48_000 * seconds,
    jitterBufferTargetDelay: 0.02 * 48_000 * seconds,
    jitterBufferMinimumDelay: 0.02 * 48_000 * seconds,
    jitterBufferEmittedCount: 48_000 * seconds,
    ...(playout.audio !== undefined && { estimatedPlayoutTimestamp: playout.audio }),
  };
  const video = {
    type: 'inbound-rtp',
    kind: 'video',
    timestamp: timestamp + (playout.apartMs ?? 0),
    packetsReceived: 170 * seconds,
    packetsLost: 0,
    bytesReceived: 180_000 * seconds,
    framesDecoded: 30 * seconds,
    framesDropped: seconds,
    freezeCount: seconds,
    totalFreezesDuration: 0.2 * seconds,
    frameWidth: 1280,
    frameHeight: 720,
    jitterBufferDelay: 0.01 * 30 * seconds,
    jitterBufferEmittedCount: 30 * seconds,
    ...(playout.video !== undefined && { estimatedPlayoutTimestamp: playout.video }),
  };
  const pair = { type: 'candidate-pair', currentRoundTripTime: 0.031 };
  return readReceiverStats(
    new Map<string, object>([
      ['T', { type: 'transport', selectedCandidatePairId: 'P' }],
      ['P', pair],
      ['A', audio],
      ['V', video],
    ]),
  );
}

describe('skewMsOf()', () => {
  it('is positive when video is late', () => {
    expect(skewMsOf(chromium(5, { audio: 4_000_000_050, video: 4_000_000_000 }))).toBe(50);
    expect(skewMsOf(chromium(5, { audio: 4_000_000_000, video: 4_000_000_020 }))).toBe(-20);
  });

  it('compares both tracks at one instant, although they were read at two', () => {
    expect(skewMsOf(chromium(5, { audio: 4_000_000_000, video: 4_000_000_007, apartMs: 7 }))).toBe(0);
  });

  it('is undefined until both tracks have had a sender report', () => {
    expect(skewMsOf(chromium(5, { audio: 4_000_000_000 }))).toBeUndefined();
    expect(skewMsOf(chromium(5, { audio: 4_000_000_000, video: 0 }))).toBeUndefined();
    expect(skewMsOf(NOTHING_YET)).toBeUndefined();
  });
});

describe('reportBetween()', () => {
  it('fills every field with what happened since the last report', () => {
    const now = chromium(3, { audio: 4_000_000_003, video: 4_000_000_000 });
    const report = reportBetween(chromium(2), now, { trimMs: { audio: 0, video: 12 }, sharedDelayMs: 90 }, 240);
    expect(reportSchema.parse(report)).toEqual({
      skewMs: 3,
      trimMs: { audio: 0, video: 12 },
      sharedDelayMs: 90,
      width: 1280,
      height: 720,
      bytesReceived: 184_000,
      jitterBufferMs: { audio: expect.closeTo(40), video: expect.closeTo(10) },
      freezes: 1,
      freezeMs: expect.closeTo(200),
      framesDecoded: 30,
      framesDropped: 1,
      packetsReceived: 220,
      packetsLost: 1,
      concealedSamples: 960,
      roundTripMs: 31,
      firstFrameMs: 240,
    });
    expect(Object.keys(report).sort()).toEqual(Object.keys(reportSchema.shape).sort());
  });

  it('is accepted by the server from the first second to a day without one', () => {
    const trim = { trimMs: { audio: 0, video: 0 }, sharedDelayMs: 0 };
    expect(() => reportSchema.parse(reportBetween(NOTHING_YET, NOTHING_YET, trim, undefined))).not.toThrow();
    expect(() => reportSchema.parse(reportBetween(NOTHING_YET, chromium(1), trim, 5e6))).not.toThrow();
    const day = reportBetween(chromium(1), chromium(86_400, { audio: 9e12, video: 1 }), trim, undefined);
    expect(reportSchema.parse(day)).toMatchObject({ framesDecoded: 10_000, skewMs: 10_000 });
  });

  it('accepts a browser that reports nothing of a track', () => {
    const bare = readReceiverStats(new Map<string, object>([['V', { type: 'inbound-rtp', kind: 'video' }]]));
    const report = reportBetween(bare, bare, { trimMs: { audio: 0, video: 0 }, sharedDelayMs: 0 }, undefined);
    expect(reportSchema.parse(report)).not.toHaveProperty('jitterBufferMs');
    expect(meanDelayMs('jitterBufferTargetDelay', bare.video, bare.video)).toBeUndefined();
  });
});

describe('statsBetween()', () => {
  it('returns rates over the second between two snapshots', () => {
    const stats = statsBetween(chromium(2), chromium(3), { trimMs: { audio: 0, video: 0 }, sharedDelayMs: 0 });
    expect(stats).toMatchObject({ fps: 30, width: 1280, height: 720, roundTripMs: 31 });
    expect(stats.bitrateBps).toBe(184_000 * 8);
    expect(stats.loss).toBeCloseTo(1 / 221);
  });
});
