import { inputOptions } from '../ffmpeg/input-options.js';
import { inputUrl, outputUrl, ToolProcess } from '../ffmpeg/tool-process.js';
import type { AudioTrack } from '../probe/media-info.js';
import { ChannelStatistics, downmixWeights } from './downmix.js';
import { type EncoderInput, type EncoderLimits, inputArguments } from './encoder-arguments.js';
import { AUDIO_PAD } from './filter-graph.js';

/** Sample rate of the analysis, Hz; practically all energy of speech lies below half of it. */
const ANALYSIS_RATE = 16_000;
const LOG_LIMIT_BYTES = 64 * 1024;
/** Maximum gain, dB; more would amplify silence to noise. */
const MAX_GAIN_DB = 30;

/** Limits of a run that only reads. */
export interface AnalysisLimits extends EncoderLimits {
  readonly maxDurationSeconds: number;
  /** Time after which the run is abandoned. */
  readonly totalMs: number;
}

/**
 * Decodes an audio track once to determine the content of its channels.
 * @returns Each channel's weight in the mono mix; `undefined` for mono, and for audio that can't be decoded, which the
 * encoder will report.
 * @throws The signal's reason.
 */
export async function analyzeChannels(
  descriptor: number,
  { index, channels = 1, channelLayout }: AudioTrack,
  limits: AnalysisLimits,
  signal: AbortSignal,
): Promise<readonly number[] | undefined> {
  if (channels < 2) return undefined;
  const statistics = new ChannelStatistics(channels);
  const args = [
    '-nostdin',
    '-hide_banner',
    '-nostats',
    '-loglevel',
    'error',
    ...inputOptions(limits.maxPixels),
    '-threads',
    String(limits.threads),
    '-i',
    inputUrl(0),
    '-map',
    `0:${index}`,
    '-t',
    String(limits.maxDurationSeconds),
    '-ar',
    String(ANALYSIS_RATE),
    '-f',
    's16le',
    outputUrl(0, 1),
  ];
  const tool = new ToolProcess('ffmpeg', args, [descriptor], 1);
  await withLimits(tool, limits, signal, async () => {
    tool.stderr.resume();
    for await (const chunk of tool.outputs[0] as AsyncIterable<Buffer>) statistics.push(chunk);
  });
  return downmixWeights(statistics, channelLayout);
}

/**
 * Measures the integrated loudness of a mix (EBU R 128, ITU-R BS.1770).
 * @param chains Filter chains from the inputs to the `AUDIO_PAD`.
 * @returns The gain to the target in dB, at most 30; 0 for silence and for less than the 400 ms that a measurement takes.
 * @throws The signal's reason.
 */
export async function loudnessGainDb(
  target: number,
  inputs: readonly EncoderInput[],
  descriptors: readonly number[],
  chains: readonly string[],
  limits: AnalysisLimits,
  signal: AbortSignal,
): Promise<number> {
  const args = [
    '-nostdin',
    '-hide_banner',
    '-nostats',
    '-loglevel',
    'info',
    '-copyts',
    ...inputs.flatMap((input, i) => inputArguments(input, i, limits)),
    // The log has the momentary figures only at `verbose`, and the summary at the end.
    '-filter_complex',
    `${chains.join(';')};${AUDIO_PAD}ebur128=framelog=verbose[m]`,
    '-map',
    '[m]',
    '-f',
    'null',
    '-',
  ];
  const tool = new ToolProcess('ffmpeg', args, descriptors);
  let log = '';
  await withLimits(tool, limits, signal, async () => {
    tool.stdout.resume();
    for await (const chunk of tool.stderr as AsyncIterable<Buffer>) {
      log = (log + chunk.toString('latin1')).slice(-LOG_LIMIT_BYTES);
    }
  });
  return gainFor(target, log);
}

/** @param log Output of a run with `ebur128`. */
function gainFor(target: number, log: string): number {
  const summary = log.slice(Math.max(0, log.lastIndexOf('Integrated loudness:')));
  const measured = Number(/I:\s*(-?\d+(?:\.\d+)?) LUFS/.exec(summary)?.[1] ?? Number.NaN);
  // −70 means that nothing could be measured.
  if (!(measured > -70)) return 0;
  return Math.min(MAX_GAIN_DB, target - measured);
}

/** Runs a tool within limits. @throws The signal's reason. */
async function withLimits(
  tool: ToolProcess,
  { totalMs }: AnalysisLimits,
  signal: AbortSignal,
  read: () => Promise<void>,
): Promise<void> {
  const kill = () => tool.kill();
  const limit = setTimeout(kill, totalMs);
  signal.addEventListener('abort', kill, { once: true });
  try {
    if (signal.aborted) kill();
    await read();
    await tool.exited;
    signal.throwIfAborted();
  } finally {
    clearTimeout(limit);
    signal.removeEventListener('abort', kill);
    tool.kill();
  }
}
