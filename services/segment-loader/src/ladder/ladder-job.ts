import type { Rendition } from '@humancast/protocol';
import type { SegmentManifest } from '@humancast/shared';
import type { EncodeJob, OutputRendition } from '../encode/encode-job.js';
import { videoOutputs } from '../encode/encoder-arguments.js';
import { videoPad } from '../encode/filter-graph.js';
import { eachHalf } from '../encode/stacked.js';
import { inputUrl } from '../ffmpeg/tool-process.js';

/**
 * @param top The stored rendition from which the others are made, which are of its codec and not larger.
 * @returns The job that encodes them.
 */
export function ladderJob(
  { fps, gopFrames, renditions }: SegmentManifest,
  top: Rendition,
  missing: readonly OutputRendition[],
  threads: number,
): EncodeJob {
  const outputs = missing.toSorted((a, b) => b.width * b.height - a.width * a.height);
  return {
    fps,
    gopFrames,
    renditions: outputs,
    hasAudio: false,
    statedSamples: undefined,
    arguments: [
      '-nostdin',
      '-hide_banner',
      '-nostats',
      '-loglevel',
      'repeat+level+verbose',
      '-protocol_whitelist',
      'file',
      '-format_whitelist',
      'ivf,h264',
      '-threads',
      String(threads),
      // Annex B has no timestamps; those of IVF are the same.
      '-r',
      `${fps.num}/${fps.den}`,
      '-f',
      top.codec === 'vp8' ? 'ivf' : 'h264',
      '-i',
      inputUrl(0),
      '-filter_complex_threads',
      String(threads),
      '-filter_complex',
      ladderGraph(outputs),
      ...videoOutputs(outputs, [...renditions, ...outputs], gopFrames, 1, threads),
    ],
  };
}

/** Each rendition is scaled from the one before it. */
function ladderGraph(renditions: readonly OutputRendition[]): string {
  return renditions
    .map(({ alpha, width, height }, i) => {
      const from = i === 0 ? '[0:v]' : `[s${i}]`;
      const next = i + 1 < renditions.length ? `,split=2${videoPad(i)}[s${i + 1}]` : videoPad(i);
      const scaled = alpha
        ? eachHalf(`h${i}`, `scale=w=${width}:h=${height / 2}`)
        : `scale=w=${width}:h=${height},setsar=1`;
      return `${from}${scaled}${next}`;
    })
    .join(';');
}
