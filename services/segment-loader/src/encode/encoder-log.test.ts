import { describe, expect, it } from 'vitest';
import { EncoderLog } from './encoder-log.js';

function logOf(...lines: string[]): EncoderLog {
  const log = new EncoderLog();
  log.push(Buffer.from(lines.map((line) => `${line}\n`).join('')));
  return log;
}

describe('EncoderLog', () => {
  it("counts damage by stream in FFmpeg 5's messages", () => {
    const log = logOf(
      '[error] Error while decoding stream #0:0: Invalid data found when processing input',
      '[warning] file:/dev/fd/3: corrupt decoded frame in stream 0',
      '[error] Error while decoding stream #1:2: Invalid data found when processing input',
      '[verbose]   Input stream #0:0 (video): 180 packets read (980080 bytes); 179 frames decoded; ',
    );
    expect(log.health('0:0')).toEqual({ damaged: 2, decoded: 179 });
    expect(log.health('1:2')).toEqual({ damaged: 1, decoded: undefined });
    expect(log.health('0:1')).toEqual({ damaged: 0, decoded: undefined });
  });

  it('counts a damaged frame of the second file separately', () => {
    expect(logOf('[warning] file:/dev/fd/4: corrupt decoded frame in stream 0').health('1:0').damaged).toBe(1);
  });

  it("counts damage in FFmpeg 7's messages", () => {
    const log = logOf(
      '[vist#0:0/h264 @ 0x55e] [dec:h264 @ 0x55f] [error] Error submitting packet to decoder: Invalid data found',
      '[vist#0:0/h264 @ 0x55e] [dec:h264 @ 0x55f] [warning] corrupt decoded frame',
      '[in#0/mov @ 0x55e] [verbose]   Input stream #0:0 (video): 9 packets read (1 bytes); 8 frames decoded; 1 decode errors;',
    );
    expect(log.health('0:0')).toEqual({ damaged: 2, decoded: 8 });
  });

  it('parses a line that arrives in pieces', () => {
    const log = new EncoderLog();
    for (const piece of ['[error] Error while deco', 'ding stream #0:1: In', 'valid data\n'])
      log.push(Buffer.from(piece));
    expect(log.health('0:1').damaged).toBe(1);
  });

  it('keeps a limited number of the last messages', () => {
    const log = logOf(...Array.from({ length: 10_000 }, (_, i) => `[h264 @ 0x1] [error] complaint ${i}`));
    expect(log.complaints).toContain('complaint 9999');
    expect(log.complaints.length).toBeLessThan(1000);
    log.push(Buffer.alloc(5_000_000, 'x'));
    log.push(Buffer.from('\n'));
    expect(log.complaints.length).toBeLessThan(1000);
  });

  it('detects a frame that exceeds the size limit', () => {
    const log = logOf(
      '[h264 @ 0x1] [IMGUTILS @ 0x2] [error] Picture size 16000x16000 exceeds specified max pixel count 33177600, see',
    );
    expect(log.rejectedSize).toEqual({ width: 16_000, height: 16_000 });
  });
});
