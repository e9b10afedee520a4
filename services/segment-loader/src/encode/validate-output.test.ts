import { describe, expect, it } from 'vitest';
import { audioTrack, mediaInfo, videoTrack } from '../../testing/tracks.js';
import type { MediaInfo } from '../probe/media-info.js';
import { planEncode } from './encode-plan.js';
import { EncoderLog } from './encoder-log.js';
import { type Outcome, validateOutput } from './validate-output.js';

const settings = {
  renditions: [{ id: 'vp8', codec: 'vp8', maxWidth: 640, maxHeight: 640, bitrateBps: 500_000 }],
  gopMs: 1000,
  fps: undefined,
} as const;

const EXIT_OK = { code: 0, signal: null, notInstalled: false };

interface Case extends Partial<Omit<Outcome, 'log'>> {
  info?: MediaInfo;
  log?: readonly string[];
  withAudio?: boolean;
}

/** Validates four seconds at 30 fps with audio, complete except for the given differences. */
function validateCase({ info = mediaInfo(), log = [], withAudio = true, ...outcome }: Case): void {
  const { video, audio } = info;
  if (!video || !audio) throw new Error('a case has both tracks');
  const encoderLog = new EncoderLog();
  encoderLog.push(Buffer.from(log.map((line) => `${line}\n`).join('')));
  const plan = planEncode(video, withAudio ? { track: audio, separate: false } : undefined, settings);
  validateOutput(plan, info, 1e8, {
    frames: 120,
    pcmSamples: withAudio ? 96_000 : 0,
    exit: EXIT_OK,
    ...outcome,
    log: encoderLog,
  });
}

const code = (expected: string) => expect.objectContaining({ code: expected });
const damagedFrame = '[error] Error while decoding stream #0:0: Invalid data found when processing input';
const damagedPacket = '[error] Error while decoding stream #0:1: Invalid data found when processing input';

describe('validateOutput()', () => {
  it('accepts complete output', () => {
    expect(() => validateCase({})).not.toThrow();
  });

  it("reports a file as truncated, and by how much, if audio or video ends early, whatever ffmpeg's exit code", () => {
    expect(() => validateCase({ frames: 60 })).toThrow(code('media_truncated'));
    expect(() => validateCase({ frames: 60 })).toThrow(/2\.00 s of video could be read; the file states 4\.00 s/);
    expect(() => validateCase({ pcmSamples: 48_000 })).toThrow(code('media_truncated'));
  });

  it('tolerates 100 ms for rounding and priming', () => {
    expect(() => validateCase({ frames: 118, pcmSamples: 94_000 })).not.toThrow();
    expect(() => validateCase({ frames: 116 })).toThrow(code('media_truncated'));
  });

  it('tolerates one hundredth of a long file', () => {
    const video = videoTrack({ endSeconds: 600 });
    const info = mediaInfo({ video, audio: audioTrack({ endSeconds: 600 }), durationSeconds: 600 });
    expect(() => validateCase({ info, frames: 17_850, pcmSamples: 14_400_000 })).not.toThrow();
    expect(() => validateCase({ info, frames: 17_000, pcmSamples: 14_400_000 })).toThrow(code('media_truncated'));
  });

  it('uses the duration of the file if a track states none', () => {
    const info = mediaInfo({
      video: videoTrack({ endSeconds: undefined }),
      audio: audioTrack({ endSeconds: undefined }),
    });
    expect(() => validateCase({ info, frames: 30, pcmSamples: 96_000 })).not.toThrow();
    expect(() => validateCase({ info, frames: 30, pcmSamples: 24_000 })).toThrow(code('media_truncated'));
    const silent = { ...info, durationSeconds: undefined };
    expect(() => validateCase({ info: silent, frames: 30, pcmSamples: 24_000 })).not.toThrow();
  });

  it('reports a file as corrupt if more than one frame in 200 is damaged', () => {
    expect(() => validateCase({ log: [damagedFrame] })).toThrow(code('media_corrupt'));
    expect(() => validateCase({ log: [damagedFrame] })).toThrow(/1 of 120 video frames/);
    const long = mediaInfo({ video: videoTrack({ endSeconds: 10 }), audio: audioTrack({ endSeconds: 10 }) });
    const whole = { info: long, frames: 300, pcmSamples: 240_000 };
    expect(() => validateCase({ ...whole, log: [damagedFrame] })).not.toThrow();
    expect(() => validateCase({ ...whole, log: [damagedFrame, damagedFrame] })).toThrow(code('media_corrupt'));
  });

  it('tolerates two broken audio packets, but no more in a short file', () => {
    expect(() => validateCase({ log: [damagedPacket, damagedPacket] })).not.toThrow();
    expect(() => validateCase({ log: [damagedPacket, damagedPacket, damagedPacket] })).toThrow(code('media_corrupt'));
  });

  it('reports a file as corrupt if no frame could be decoded', () => {
    expect(() => validateCase({ frames: 0, log: [damagedFrame] })).toThrow(code('media_corrupt'));
    expect(() => validateCase({ frames: 0, log: [damagedFrame], exit: { ...EXIT_OK, code: 69 } })).toThrow(
      code('media_corrupt'),
    );
  });

  it('blames the file if ffmpeg fails with a message, and the service if it fails without one', () => {
    expect(() => validateCase({ frames: 0, exit: { ...EXIT_OK, code: 1 } })).toThrow(code('media_undecodable'));
    expect(() => validateCase({ exit: { code: null, signal: 'SIGSEGV', notInstalled: false } })).toThrow(/SIGSEGV/);
    expect(() => validateCase({ frames: 0, exit: { code: 127, signal: null, notInstalled: true } })).toThrow(
      expect.objectContaining({ code: 'encoder_failed', message: 'ffmpeg is not installed' }),
    );
  });

  it('rejects a file with more media than was decoded, whatever its header states', () => {
    const content = { packets: 120, packetSeconds: 4, endSeconds: 4, shifts: [] };
    const info = (overrides: Partial<typeof content>) =>
      mediaInfo({
        video: videoTrack({ endSeconds: undefined, content: { ...content, ...overrides } }),
        audio: audioTrack({ endSeconds: undefined, content: { ...content, packets: 188, ...overrides } }),
        durationSeconds: undefined,
      });
    const decoded = (samples: number) =>
      `Input stream #0:1 (audio): 188 packets read (9 bytes); 188 frames decoded (${samples} samples);`;
    expect(() => validateCase({ info: info({}), log: [decoded(192_000)] })).not.toThrow();
    expect(() => validateCase({ info: info({ endSeconds: 8 }) })).toThrow(code('media_corrupt'));
    expect(() => validateCase({ info: info({}), frames: 100 })).toThrow(/3\.33 of 4\.00 s of video/);
    expect(() => validateCase({ info: info({}), pcmSamples: 80_000 })).toThrow(/3\.33 of 4\.00 s of audio/);
    expect(() => validateCase({ info: info({}), log: [decoded(96_000)] })).toThrow(/2\.00 of 4\.00 s of audio/);
  });
});
