import { describe, expect, it } from 'vitest';
import { parseReport } from './ffprobe-report.js';

const video = { index: 0, codec_type: 'video', codec_name: 'h264', width: 1280, height: 720, pix_fmt: 'yuv420p' };
const audio = {
  index: 1,
  codec_type: 'audio',
  codec_name: 'aac',
  sample_fmt: 'fltp',
  sample_rate: '48000',
  start_time: '0.000000',
  duration: '4.000000',
};
const mov = { format_name: 'mov,mp4,m4a,3gp,3g2,mj2', duration: '4.000000' };

const parse = (streams: readonly object[], format: object = mov) => parseReport({ streams, format });

/** A quarter turn clockwise, as ffprobe prints it. */
const MATRIX =
  '\n00000000:            0       65536           0\n00000001:       -65536           0           0\n00000002:            0           0  1073741824\n';

describe('parseReport', () => {
  it('reads rates, aspect and rotation as exact numbers', () => {
    const stream = {
      ...video,
      avg_frame_rate: '30000/1001',
      r_frame_rate: '30000/1001',
      sample_aspect_ratio: '64:45',
      side_data_list: [{}, { displaymatrix: MATRIX }],
    };
    expect(parse([stream]).video).toMatchObject({
      averageRate: { num: 30_000, den: 1001 },
      pixelAspect: { num: 64, den: 45 },
      orientation: 6,
    });
  });

  it('reads unstated properties as undefined or as their defaults', () => {
    const stream = {
      ...video,
      avg_frame_rate: '0/0',
      r_frame_rate: '0/0',
      sample_aspect_ratio: '0:1',
      color_space: 'unknown',
    };
    expect(parse([{ ...stream, start_time: 'N/A' }]).video).toMatchObject({
      averageRate: undefined,
      nominalRate: undefined,
      pixelAspect: { num: 1, den: 1 },
      colorMatrix: undefined,
      startSeconds: 0,
      endSeconds: undefined,
    });
  });

  it('does not use a cover image as the video', () => {
    const cover = { ...video, disposition: { default: 1, attached_pic: 1 } };
    expect(parse([cover, audio]).video).toBeUndefined();
    expect(parse([cover, { ...video, index: 2 }]).video?.index).toBe(2);
  });

  it('prefers the track that is marked as default', () => {
    const marked = { ...audio, index: 2, disposition: { default: 1, attached_pic: 0 } };
    const unmarked = { ...audio, disposition: { default: 0, attached_pic: 0 } };
    expect(parse([video, unmarked, marked]).audio?.index).toBe(2);
    expect(parse([video, unmarked]).audio?.index).toBe(1);
  });

  it('determines the end of a track from its start and length or from Matroska tags', () => {
    expect(parse([{ ...audio, start_time: '0.178000', duration: '3.822000' }]).audio?.endSeconds).toBeCloseTo(4, 9);
    const tagged = { ...audio, duration: undefined, tags: { DURATION: '01:00:04.021000000' } };
    expect(parse([tagged], { format_name: 'matroska,webm', duration: '4.021' }).audio?.endSeconds).toBeCloseTo(
      3604.021,
      9,
    );
  });

  it('ignores estimated durations', () => {
    const info = parse([video, audio], { format_name: 'mpegts', duration: '4.0' });
    expect(info.durationSeconds).toBeUndefined();
    expect(info.audio?.endSeconds).toBeUndefined();
  });

  it('detects alpha from the pixel format and from a WebM tag', () => {
    expect(parse([{ ...video, pix_fmt: 'yuva420p' }]).video?.hasAlpha).toBe(true);
    expect(parse([{ ...video, codec_name: 'vp9', tags: { alpha_mode: '1' } }]).video?.hasAlpha).toBe(true);
    expect(parse([video]).video?.hasAlpha).toBe(false);
  });

  it('rejects what ffprobe does not print', () => {
    expect(() => parseReport({ streams: [{ index: 'x' }], format: {} })).toThrow();
  });
});
