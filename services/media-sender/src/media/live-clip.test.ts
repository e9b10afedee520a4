import { type LivePart, type LiveReader, type MediaStore, PCM_CHUNK_SAMPLES, packGop } from '@humancast/shared';
import { makeManifest } from '@humancast/testkit';
import { beforeEach, describe, expect, it } from 'vitest';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { LiveClip } from './live-clip.js';
import { MediaCache } from './media-cache.js';

const GOP = 25;
const FRAME_SAMPLES = 1920; // 25 fps
const START_SAMPLES = 2880; // 60 ms

const MANIFEST = makeManifest({
  source: 'live',
  state: 'open',
  fps: { num: 25, den: 1 },
  frames: 0,
  gopFrames: GOP,
  pcmSamples: 0,
  durationSamples: 2,
});

const packetizerOf =
  () =>
  (data: Buffer, keyframe: boolean): PacketizedFrame => ({
    payloads: [data],
    keyframe,
    bytes: data.length,
  });
/** Encodes its number. */
const frameData = (number: number) => Buffer.from([number >> 8, number & 255]);
const numberOf = (frame: PacketizedFrame | undefined) => frame?.payloads[0]?.readUInt16BE(0);
/** Each sample encodes its position. */
const sampleAt = (index: number) => 1 + (index % 30_000);

let nowMs: number;
let onPart: (part: LivePart) => void;
let following: boolean;
let clip: LiveClip;
let frames: number;
let samples: number;
let reads: string[];

beforeEach(() => {
  nowMs = 1000;
  frames = 0;
  samples = 0;
  reads = [];
  clip = open();
});

function open(manifest = MANIFEST): LiveClip {
  const reader: LiveReader = {
    follow(_, onEntry) {
      following = true;
      onPart = (part) => onEntry({ id: '1-0', part });
      return () => {
        following = false;
      };
    },
  };
  const store: Pick<MediaStore, 'readGop' | 'readPcm'> = {
    async readGop(_, rendition, index) {
      reads.push(`${rendition}/${index}`);
      const gop = Array.from({ length: GOP }, (_, i) => ({ data: frameData(index * GOP + i), keyframe: i === 0 }));
      return packGop(gop);
    },
    async readPcm(_, index) {
      const chunk = Int16Array.from({ length: PCM_CHUNK_SAMPLES }, (_, i) => sampleAt(index * PCM_CHUNK_SAMPLES + i));
      return Buffer.from(chunk.buffer);
    },
  };
  return new LiveClip(manifest, {
    reader,
    packetizerOf,
    startSamples: START_SAMPLES,
    reserveLimitSamples: 96_000,
    pauseMs: 700,
    nowMs: () => nowMs,
    cache: new MediaCache(store as MediaStore, { maxBytes: 1e8, packetizerOf }),
    prefetchSamples: 120_000,
    codecs: new Set(['vp8']),
  });
}

function addFrames(count: number): void {
  for (let i = 0; i < count; i++, frames++) {
    onPart({ kind: 'frame', rendition: 0, frame: frames, keyframe: frames % GOP === 0, data: frameData(frames) });
  }
}

function addSound(ms: number): void {
  const pcm = Int16Array.from({ length: ms * 24 }, (_, i) => sampleAt(samples + i));
  onPart({ kind: 'audio', sample: samples, pcm: Buffer.from(pcm.buffer) });
  samples += pcm.length;
}

function end(): void {
  const durationSamples = Math.max(frames * FRAME_SAMPLES, samples * 2);
  onPart({ kind: 'end', manifest: { ...MANIFEST, state: 'complete', frames, pcmSamples: samples, durationSamples } });
}

function pcm(fromSamples: number, count: number): number[] {
  const out = new Int16Array(count + 2);
  clip.readPcm(fromSamples, out, 1, count);
  return [...out.subarray(1, count + 1)];
}

async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

describe('LiveClip', () => {
  it('starts when enough of both tracks has arrived', () => {
    expect(clip.availability(0, 960)).toBe('late');
    addFrames(2);
    expect(clip.availability(0, 960)).toBe('late');
    addSound(40);
    expect(clip.availability(0, 960)).toBe('late');
    addSound(20);
    expect(clip.availability(0, 960)).toBe('ready');
  });

  it('plays on while a larger rendition is left out for some GOPs', () => {
    const [small] = MANIFEST.renditions;
    if (!small) throw new Error('no rendition');
    clip = open({ ...MANIFEST, renditions: [{ ...small, id: 'large', bitrateBps: 1_000_000 }, small] });
    const add = (from: number, to: number, ...renditions: number[]) => {
      for (let frame = from; frame < to; frame++) {
        for (const rendition of renditions) {
          onPart({ kind: 'frame', rendition, frame, keyframe: frame % GOP === 0, data: frameData(frame) });
        }
      }
    };
    addSound(5000);
    add(0, GOP, 0, 1);
    add(GOP, 2 * GOP, 1);
    expect(clip.availability(0, 2 * 48_000)).toBe('ready');
    expect(numberOf(clip.frame('vp8', GOP - 1, 0))).toBe(GOP - 1);
    expect(clip.frame('vp8', GOP, 0)).toBeUndefined();
    expect(numberOf(clip.frame('vp8', GOP, 1))).toBe(GOP);
    clip.follow(1.5 * 48_000);
    // Frames after a gap are useless until a GOP begins.
    onPart({ kind: 'frame', rendition: 0, frame: 2 * GOP - 1, keyframe: false, data: frameData(0) });
    add(2 * GOP, 3 * GOP, 0, 1);
    expect(clip.frame('vp8', 2 * GOP - 1, 0)).toBeUndefined();
    expect(numberOf(clip.frame('vp8', 2 * GOP, 0))).toBe(2 * GOP);
    expect(numberOf(clip.frame('vp8', 3 * GOP - 1, 0))).toBe(3 * GOP - 1);
    clip.follow(2.5 * 48_000);
    expect(numberOf(clip.frame('vp8', 2 * GOP + 5, 0))).toBe(2 * GOP + 5);
  });

  it('waits for the smallest rendition, which comes last of each frame', () => {
    const [small] = MANIFEST.renditions;
    if (!small) throw new Error('no rendition');
    clip = open({ ...MANIFEST, renditions: [{ ...small, id: 'large', bitrateBps: 1_000_000 }, small] });
    addSound(200);
    addFrames(5);
    expect(clip.availability(0, 960)).toBe('late');
    for (let frame = 0; frame < 5; frame++) {
      onPart({ kind: 'frame', rendition: 1, frame, keyframe: frame === 0, data: frameData(frame) });
    }
    expect(clip.availability(0, 960)).toBe('ready');
  });

  it('starts at once when it is complete, however short', () => {
    addFrames(1);
    end();
    expect(clip.availability(0, 960)).toBe('ready');
    expect(clip.durationSamples).toBe(FRAME_SAMPLES);
  });

  it('has no end before its end is written', () => {
    expect(clip.durationSamples).toBe(Number.POSITIVE_INFINITY);
    addFrames(50);
    addSound(2100);
    expect(clip.frames).toBe(50);
    end();
    expect(clip.durationSamples).toBe(2100 * 48);
  });

  it('plays on while the next block is there, and after an underrun waits for twice as much', () => {
    addFrames(2);
    addSound(60);
    expect(clip.availability(0, 960)).toBe('ready');
    expect(clip.availability(960, 1920)).toBe('ready');
    expect(clip.availability(2880, 3840)).toBe('late');
    addSound(20);
    expect(clip.availability(2880, 3840)).toBe('late');
    addFrames(1);
    addSound(60);
    expect(clip.availability(2880, 3840)).toBe('late');
    addFrames(2);
    addSound(60);
    expect(clip.availability(2880, 3840)).toBe('ready');
  });

  describe('of a producer that is slower than real time', () => {
    let playedSamples: number;
    let underruns: number;

    /** Plays for a time, while `arrive` is called every 10 ms. */
    function play(ms: number, arrive: (atMs: number) => void): void {
      let isPlaying = false;
      for (let at = 0; at < ms; at += 10) {
        arrive(at);
        if (at % 20 === 0) {
          const isReady = clip.availability(playedSamples, playedSamples + 960) === 'ready';
          if (isPlaying && !isReady) underruns++;
          isPlaying = isReady;
          if (isReady) {
            playedSamples += 960;
            clip.follow(playedSamples);
          }
        }
        nowMs += 10;
      }
    }
    const push = () => {
      addFrames(1);
      addSound(40);
    };
    beforeEach(() => {
      playedSamples = 0;
      underruns = 0;
    });

    it('pauses rarely and longer: at 0.8 of real time at most twelve times a minute', () => {
      play(60_000, (at) => at % 50 === 0 && push());
      expect(underruns).toBeGreaterThan(3);
      expect(underruns).toBeLessThanOrEqual(12);
      expect(playedSamples / 48).toBeGreaterThan(44_000);
    });

    it('plays what has arrived if no more comes, and starts at once after that pause', () => {
      play(20_000, (at) => at % 50 === 0 && push());
      // Less than the reserve.
      play(1500, (at) => at < 200 && at % 50 === 0 && push());
      expect(playedSamples / 48).toBe(frames * 40);
      const before = playedSamples;
      play(140, (at) => at % 40 === 0 && push());
      expect(playedSamples).toBeGreaterThan(before);
    });

    it('waits for less again once it keeps up', () => {
      play(20_000, (at) => at % 50 === 0 && push());
      play(120_000, (at) => at % 40 === 0 && push());
      play(100, () => {});
      const before = playedSamples;
      underruns = 0;
      play(2200, (at) => at < 200 && push());
      expect(playedSamples).toBeGreaterThan(before);
    });
  });

  it('returns frames and PCM as they were written', () => {
    addFrames(30);
    addSound(1200);
    expect(clip.availability(0, 960)).toBe('ready');
    expect([0, 24, 25, 29].map((i) => numberOf(clip.frame('vp8', i)))).toEqual([0, 24, 25, 29]);
    expect(clip.frame('h264', 0)).toBeUndefined();
    expect(pcm(47_990, 10)).toEqual(Array.from({ length: 10 }, (_, i) => sampleAt(23_995 + i)));
  });

  it('keeps the GOP before the one that plays, and releases older ones', () => {
    addFrames(100);
    addSound(4000);
    clip.follow(80 * FRAME_SAMPLES);
    expect(numberOf(clip.frame('vp8', 50))).toBe(50);
    expect(numberOf(clip.frame('vp8', 99))).toBe(99);
    expect(clip.availability(80 * FRAME_SAMPLES, 80 * FRAME_SAMPLES + 960)).toBe('ready');
    expect(clip.frame('vp8', 20)).toBeUndefined();
    expect(reads).toEqual([]);
  });

  it('plays what it fell behind on from the media store, then continues from memory without a gap', async () => {
    for (let second = 0; second < 20; second++) {
      addFrames(25);
      addSound(1000);
      await settled();
    }
    expect(reads.length).toBeGreaterThan(0);
    expect(reads.length).toBeLessThan(10);
    for (let at = 0; at < 20 * 48_000; at += 960) {
      expect(clip.availability(at, at + 960)).toBe('ready');
      const frame = Math.floor(at / FRAME_SAMPLES);
      expect(numberOf(clip.frame('vp8', frame))).toBe(frame);
      expect(pcm(at, 480)).toEqual(Array.from({ length: 480 }, (_, i) => sampleAt(at / 2 + i)));
      clip.follow(at + 960);
      if (at % 9600 === 0) await settled();
    }
  });

  it('begins with the stored part when it is opened late', async () => {
    frames = 40; // The live store was trimmed to within the second GOP.
    samples = 30_000;
    addFrames(40);
    addSound(2000);
    clip.follow(0);
    await settled();
    expect(clip.availability(0, 960)).toBe('ready');
    expect(numberOf(clip.frame('vp8', 3))).toBe(3);
    expect(pcm(0, 3)).toEqual([1, 2, 3]);
    clip.follow(60 * FRAME_SAMPLES);
    expect(numberOf(clip.frame('vp8', 60))).toBe(60);
  });

  it('holds the last frame or plays silence where one track is shorter', () => {
    addFrames(5);
    addSound(1000);
    end();
    expect(clip.availability(40_000, 40_960)).toBe('ready');
    expect(clip.frames).toBe(5);
    expect(pcm(48_000, 4)).toEqual([0, 0, 0, 0]);
  });

  it('has the text that has come, each piece once', () => {
    const cues = ['one', 'two'].map((text, i) => ({ text, atMs: 1000 * i, untilMs: 1000 * (i + 1) }));
    for (const [number, cue] of [...cues.entries(), ...cues.entries()]) onPart({ kind: 'text', number, cue });
    expect(clip.text).toEqual(cues);
  });

  it('is gone when the segment has failed', () => {
    onPart({ kind: 'end', manifest: { ...MANIFEST, state: 'failed' } });
    expect(clip.availability(0, 960)).toBe('gone');
  });

  it("ends at what has arrived when its writer's heartbeats stop", () => {
    addFrames(25);
    addSound(1000);
    nowMs += 4000;
    onPart({ kind: 'alive' });
    nowMs += 4000;
    expect(clip.availability(960, 1920)).toBe('ready');
    expect(clip.durationSamples).toBe(Number.POSITIVE_INFINITY);
    nowMs += 1001;
    expect(clip.availability(1920, 2880)).toBe('ready');
    expect(clip.durationSamples).toBe(48_000);
  });

  it('stops following when it is released', () => {
    expect(following).toBe(true);
    clip.release();
    expect(following).toBe(false);
  });
});
