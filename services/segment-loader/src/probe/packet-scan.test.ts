import { describe, expect, it } from 'vitest';
import { frameTimesOf } from './frame-times.js';
import { MAX_JUMPS, PacketScan } from './packet-scan.js';

const packet = (kind: string, index: number, fields: Readonly<Record<string, string>>) =>
  `        { "codec_type": "${kind}", "stream_index": ${index}${Object.entries(fields)
    .map(([name, value]) => `, "${name}": "${value}"`)
    .join('')} },`;
const line = (kind: string, index: number, seconds: number, duration = 0.04, flags = 'K_') => {
  const time = seconds.toFixed(6);
  return packet(kind, index, { pts_time: time, dts_time: time, duration_time: String(duration), flags });
};

/** Adds both tracks of a file of `seconds` from `start` on, interleaved; audio is 20 ms earlier. */
function take(scan: PacketScan, start: number, seconds: number): void {
  for (let i = 0; i < seconds * 25; i++) {
    scan.push(line('video', 0, start + i * 0.04));
    scan.push(line('audio', 1, start + i * 0.04 - 0.02));
  }
}

describe('PacketScan', () => {
  it('finds one offset for both tracks when the clock restarts', () => {
    const scan = new PacketScan();
    for (const start of [1.4, 1.4, 700]) take(scan, start, 4);
    const streams = scan.report(true);
    const [video, audio] = [streams?.get(0), streams?.get(1)];
    expect(video?.shifts).toHaveLength(2);
    expect(audio?.shifts).toEqual(video?.shifts);
    expect(video?.shifts[0]).toBeCloseTo(4.02, 6);
    expect(video?.endSeconds).toBeCloseTo(1.4 + 12 + 0.04, 6);
    expect(video).toMatchObject({ packets: 300, startSeconds: 1.4 });
  });

  it('keeps a pause of all tracks in containers other than broadcast ones', () => {
    const scan = new PacketScan();
    take(scan, 0, 2);
    take(scan, 3600, 2);
    expect(scan.report(false)?.get(0)?.shifts).toEqual([0]);
    expect(scan.report(false)?.get(0)?.endSeconds).toBeCloseTo(3602, 6);
    expect(scan.report(true)?.get(0)?.endSeconds).toBeCloseTo(4.02, 6);
  });

  it('does not mistake still video during continuing audio for a jump', () => {
    const scan = new PacketScan();
    scan.push(line('video', 0, 0));
    for (let i = 0; i < 1500; i++) scan.push(line('audio', 1, i * 0.02, 0.02));
    scan.push(line('video', 0, 29.96));
    expect(scan.report(true)?.get(0)?.shifts).toEqual([0]);
    expect(scan.report(true)?.get(1)?.shifts).toEqual([]);
  });

  it('ignores jitter and reordering, and omits what an edit list cuts', () => {
    const scan = new PacketScan();
    const shownAt = (pts: number, dts: number, flags: string) =>
      packet('video', 0, { pts_time: String(pts), dts_time: String(dts), duration_time: '0.04', flags });
    scan.push(shownAt(0, -0.08, 'KD'));
    for (const [shown, decoded] of [
      [0.04, -0.04],
      [0.2, 0],
      [0.12, 0.04],
      [0.08, 0.039],
    ] as const) {
      scan.push(shownAt(shown, decoded, '__'));
    }
    const video = scan.report(true)?.get(0);
    expect(video).toMatchObject({ packets: 4, firstShown: 1, shifts: [], startSeconds: 0.04 });
    expect(video?.times).toEqual([[0.04, 0.08, 0.12, 0.2]]);
  });

  it('ignores lines that are not packets, and gives up on a clock that jumps too often', () => {
    const scan = new PacketScan();
    const others = [
      '',
      '{',
      '    "packets": [',
      '            "side_data_list": [',
      '                {  }',
      '            ] },',
    ];
    for (const text of [...others, packet('data', 3, { flags: 'K_' }), packet('video', 0, {})]) scan.push(text);
    expect([...(scan.report(true)?.keys() ?? [])]).toEqual([0]);
    for (let i = 0; i < 10 * MAX_JUMPS; i++) scan.push(line('video', 0, i % 2));
    expect(scan.report(true)).toBeUndefined();
  });
});

describe('frameTimesOf', () => {
  const times = (count: number, at: (i: number) => number) => [Array.from({ length: count }, (_, i) => at(i))];
  const fps = (list: readonly (readonly number[])[]) => 1 / (frameTimesOf(list)?.seconds ?? Number.NaN);
  const milliseconds = (seconds: number) => Math.round(seconds * 1000) / 1000;

  it('compensates the rounding to milliseconds', () => {
    for (const rate of [24, 25, 29.97, 30, 50, 59.94, 60, 120]) {
      const list = times(300, (i) => milliseconds(i / rate));
      expect(Math.abs(fps(list) / rate - 1)).toBeLessThan(0.0005);
      expect(frameTimesOf(list)?.isSteady).toBe(true);
    }
  });

  it('ignores dropped frames and pauses', () => {
    const kept = [Array.from({ length: 300 }, (_, i) => i / 30).filter((_, i) => i % 7 !== 3)];
    expect(fps(kept)).toBeCloseTo(30, 6);
    const paused = [
      ...Array.from({ length: 30 }, (_, i) => i / 30),
      ...Array.from({ length: 30 }, (_, i) => 100 + i / 30),
    ];
    expect(fps([paused])).toBeCloseTo(30, 6);
  });

  it('averages two alternating distances, as in telecined film, wherever the pattern ends', () => {
    for (const count of [72, 73, 240, 241]) {
      for (const longFirst of [0, 1]) {
        const list = times(count, (i) => Math.floor(i / 2) * (5 / 59.94) + (i % 2) * ((2 + longFirst) / 59.94));
        expect(Math.abs(fps(list) / 23.976 - 1)).toBeLessThan(0.0005);
      }
    }
  });

  it('returns undefined for a single frame or for frames at the same time', () => {
    expect(frameTimesOf([[1]])).toBeUndefined();
    expect(frameTimesOf([[1, 1, 1]])).toBeUndefined();
    expect(frameTimesOf([])).toBeUndefined();
  });
});
