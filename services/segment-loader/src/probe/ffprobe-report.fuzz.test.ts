import { HumancastError } from '@humancast/shared';
import { fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { expect, it } from 'vitest';
import { readReport } from './ffprobe-report.js';

const REPORT = JSON.stringify({
  chapters: [{ start_time: '1.500000' }],
  streams: [
    {
      index: 0,
      codec_name: 'h264',
      codec_type: 'video',
      width: 1280,
      height: 720,
      pix_fmt: 'yuv420p',
      sample_aspect_ratio: '1:1',
      r_frame_rate: '30000/1001',
      avg_frame_rate: '30/1',
      start_time: '0.000000',
      disposition: { default: 1, attached_pic: 0 },
      tags: { DURATION: '00:00:04.000000000', alpha_mode: '1' },
      side_data_list: [
        {},
        { displaymatrix: '\n00000000: 0 65536 0\n00000001: -65536 0 0\n00000002: 0 0 1073741824\n' },
      ],
    },
    { index: 1, codec_name: 'aac', codec_type: 'audio', sample_rate: '48000', start_time: '0.02', duration: '4.0' },
  ],
  format: { format_name: 'mov,mp4,m4a,3gp,3g2,mj2', duration: '4.000000' },
});

it(
  'readReport() returns only finite figures or throws media_unreadable for any text',
  async () => {
    let read = 0;
    const { runs } = await fuzz({ corpus: [REPORT], runs: 20_000, seconds: 4 }, (input) => {
      try {
        const { video, audio, durationSeconds, chapterSeconds } = readReport(input.toString());
        read++;
        const figures = [
          durationSeconds,
          ...chapterSeconds,
          video?.endSeconds,
          video?.startSeconds,
          audio?.startSeconds,
        ];
        figures.push(video?.width, video?.height, video?.averageRate?.num, video?.averageRate?.den, audio?.sampleRate);
        for (const figure of figures)
          if (figure !== undefined && !Number.isFinite(figure)) throw new Error(`${figure}`);
      } catch (error) {
        if (!(error instanceof HumancastError && error.code === 'media_unreadable')) throw error;
      }
    });
    expect(runs).toBeGreaterThan(0);
    expect(read).toBeGreaterThan(0);
  },
  fuzzTimeoutMs({ seconds: 4 }),
);
