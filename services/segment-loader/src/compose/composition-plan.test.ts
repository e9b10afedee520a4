import { compositionSchema, type ErrorCode } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import { audioTrack, mediaInfo, videoTrack } from '../../testing/tracks.js';
import type { MediaInfo } from '../probe/media-info.js';
import { type ProbedInput, planComposition } from './composition-plan.js';

const settings = {
  renditions: [{ id: 'vp8', codec: 'vp8', maxWidth: 640, maxHeight: 640, bitrateBps: 500_000 }],
  gopMs: 1000,
  fps: undefined,
} as const;
const STILL = mediaInfo({
  container: 'png_pipe',
  durationSeconds: undefined,
  audio: undefined,
  video: videoTrack({ codec: 'png', isRgb: true, averageRate: { num: 25, den: 1 }, endSeconds: undefined }),
});
const MUSIC = mediaInfo({
  container: 'wav',
  video: undefined,
  audio: audioTrack({ index: 0, endSeconds: 9 }),
  durationSeconds: 9,
});

const lasting = (seconds: number, fps = 30) =>
  mediaInfo({
    durationSeconds: seconds,
    video: videoTrack({ endSeconds: seconds, frameTimes: { seconds: 1 / fps, isSteady: true } }),
    audio: audioTrack({ endSeconds: seconds }),
  });

function plan(composition: object, infos: Record<string, MediaInfo>, fps?: { num: number; den: number }) {
  const probed = new Map<string, ProbedInput>();
  for (const [i, [name, info]] of Object.entries(infos).entries()) {
    const audio = info.audio && { track: info.audio, separate: false };
    probed.set(name, { info, audio, videoDescriptor: 100 + i, audioDescriptor: 100 + i });
  }
  const parsed = compositionSchema.parse({ width: 640, height: 360, layout: 'side-by-side', ...composition });
  return planComposition(parsed, probed, { ...settings, fps }, 3600);
}

function rejected(code: ErrorCode, composition: object, infos: Record<string, MediaInfo>) {
  expect(() => plan(composition, infos)).toThrow(expect.objectContaining({ code }) as Error);
}

describe('planComposition()', () => {
  const two = { layers: [{ input: 'a' }, { input: 'b' }] };

  it('takes the duration of the longest layer and the rate of the fastest', () => {
    const { frames, fps } = plan(two, { a: lasting(4, 30), b: lasting(2, 50) });
    expect(fps).toEqual({ num: 50, den: 1 });
    expect(frames).toBe(200);
  });

  it("uses the avatar's rate, or else its own", () => {
    const infos = { a: lasting(4, 30), b: lasting(2, 50) };
    expect(plan({ ...two, fps: { num: 24, den: 1 } }, infos).frames).toBe(96);
    expect(plan({ ...two, fps: { num: 24, den: 1 } }, infos, { num: 10, den: 1 }).frames).toBe(40);
  });

  it('includes a late start, and ignores loops', () => {
    const infos = { a: lasting(4), b: lasting(9) };
    expect(
      plan(
        {
          layers: [
            { input: 'a', startMs: 500 },
            { input: 'b', atEnd: 'loop' },
          ],
        },
        infos,
      ).frames,
    ).toBe(135);
  });

  it('takes the duration of the named input', () => {
    expect(plan({ ...two, lengthOf: 'b' }, { a: lasting(4), b: lasting(2) }).frames).toBe(60);
  });

  it('takes the duration of the audio if all layers are still images', () => {
    const composition = { layers: [{ input: 'still' }], audio: [{ input: 'music' }] };
    const { frames, fps } = plan(composition, { still: STILL, music: MUSIC });
    expect([frames, fps.num]).toEqual([225, 25]);
  });

  it('ignores the duration of audio that only accompanies', () => {
    const composition = { layers: [{ input: 'a' }], audio: [{ input: 'a' }, { input: 'music', gainDb: -20 }] };
    expect(plan(composition, { a: lasting(4), music: MUSIC }).frames).toBe(120);
  });

  it('rejects a composition without a duration', () => {
    const unstated = mediaInfo({
      container: 'mpegts',
      durationSeconds: undefined,
      video: videoTrack({ endSeconds: undefined }),
      audio: undefined,
    });
    rejected('composition_length_unknown', { layers: [{ input: 'a' }] }, { a: unstated });
    rejected('composition_length_unknown', { layers: [{ input: 'still' }] }, { still: STILL });
    rejected('composition_length_unknown', { layers: [{ input: 'a', atEnd: 'loop' }] }, { a: lasting(2) });
    rejected('media_too_long', { layers: [{ input: 'a' }] }, { a: lasting(4000) });
  });

  it('rejects a layer without video, and audio without an audio track', () => {
    rejected('media_no_video', { layers: [{ input: 'music' }] }, { music: MUSIC });
    rejected(
      'media_unreadable',
      { layers: [{ input: 'a' }], audio: [{ input: 'still' }] },
      { a: lasting(2), still: STILL },
    );
    rejected('composition_input_missing', two, { a: lasting(2) });
  });

  it("mixes the audio of every layer by default, and reads it from the layer's own file", () => {
    const { mixInputs, inputs } = plan(
      { layers: [{ input: 'a' }, { input: 'still' }, { input: 'b' }] },
      { a: lasting(2), still: STILL, b: lasting(2) },
    );
    expect(mixInputs.map(({ input }) => inputs[input]?.name)).toEqual(['a', 'b']);
    expect(inputs).toHaveLength(3);
    expect(plan({ ...two, audio: [] }, { a: lasting(2), b: lasting(2) }).mixInputs).toEqual([]);
  });

  it('scales in proportion, crops to cover, and keeps all sizes even', () => {
    const layer = (fit: string) => {
      const box = { x: 101, y: 51, width: 200, height: 200 };
      const { layers } = plan({ layers: [{ input: 'a', box, fit }] }, { a: lasting(2) });
      const [{ scaled, cropped, x, y } = { scaled: undefined, cropped: undefined, x: 0, y: 0 }] = layers;
      return [scaled, cropped, x, y];
    };
    expect(layer('contain')).toEqual([{ width: 200, height: 112 }, { width: 200, height: 112 }, 102, 96]);
    expect(layer('cover')).toEqual([{ width: 356, height: 200 }, { width: 200, height: 200 }, 102, 52]);
    expect(layer('stretch')).toEqual([{ width: 200, height: 200 }, { width: 200, height: 200 }, 102, 52]);
  });
});
