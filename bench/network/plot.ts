/** One impaired path over time: the rate, the height of the video, freezes, concealed audio and skew, for both senders. */
import { parseProfile } from '@humancast/testkit';
import type { BrowserContext } from 'playwright-core';
import { COLORS, drawing, INK, line, screenshot, text } from '../lib/svg.ts';
import type { Profile } from './profiles.ts';
import type { Run } from './viewer.ts';

/** The media-sender's bandwidth estimate. */
export interface Estimate {
  readonly atMs: number;
  readonly bps: number;
}

export interface Side {
  readonly name: string;
  readonly run: Run;
  /** Times without video, ms from the first frame. */
  readonly freezes: readonly (readonly [fromMs: number, untilMs: number])[];
  readonly estimates?: readonly Estimate[];
}

interface Point {
  readonly s: number;
  readonly value: number;
}

interface Chart {
  readonly title: string;
  readonly top: number;
  readonly bottom: number;
  /** Values outside of the range are drawn at its edge. */
  readonly range: readonly [low: number, high: number];
  readonly marks: readonly number[];
}

const WIDTH = 1000;
const [LEFT, RIGHT] = [92, 970];
const MBPS = 1e6;
/** A rate is that of this many samples, so that a GOP's keyframe does not stand out. */
const RATE_SAMPLES = 4;
const SKEW_LIMIT_MS = 60;

export async function drawNetworkPlot(
  context: BrowserContext,
  path: string,
  profile: Profile,
  sides: readonly Side[],
  captions: readonly string[],
): Promise<void> {
  const x = (s: number) => LEFT + (s / profile.seconds) * (RIGHT - LEFT);
  const links = linkRates(profile);
  const rates = sides.map(({ run }) => receivedRates(run));
  const highest = Math.max(1, ...rates.flat().map(({ value }) => value));
  const rate = chart('Rate received, Mb/s', 100, 220, [0, Math.ceil(highest)], [0, Math.ceil(highest)]);
  const height = chart('Height, pixels', 250, 340, [0, 720], [0, 180, 360, 720]);
  const frozen = chart('Frozen', 370, 370 + 26 * sides.length, [0, 1], []);
  const concealed = chart('Concealed audio, %', frozen.bottom + 30, frozen.bottom + 110, [0, 100], [0, 50, 100]);
  const skew = chart('Skew, ms', concealed.bottom + 30, concealed.bottom + 130, [-240, 240], [-240, -60, 0, 60, 240]);
  const parts = [
    text(LEFT, 34, profile.name, { size: 21, weight: 600 }),
    text(LEFT, 56, profile.line, { soft: true }),
    legend(sides),
    ...[rate, height, frozen, concealed, skew].flatMap(frame),
    curve(rate, x, links, COLORS[2]),
    ...sides.flatMap((side, i) => {
      const color = COLORS[i] ?? INK.strong;
      const estimates = (side.estimates ?? []).map(({ atMs, bps }) => ({ s: atMs / 1000, value: bps / MBPS }));
      return [
        curve(rate, x, rates[i] ?? [], color),
        curve(rate, x, estimates, color, true),
        curve(height, x, samplesOf(side.run, 'height'), color),
        ...side.freezes.map(([fromMs, untilMs]) => {
          const [from, until] = [x(fromMs / 1000), x(untilMs / 1000)];
          return `<rect x="${from.toFixed(1)}" y="${frozen.top + 4 + 26 * i}" width="${(until - from).toFixed(1)}" height="18" fill="${color}"/>`;
        }),
        curve(concealed, x, concealment(side.run), color),
        curve(skew, x, samplesOf(side.run, 'skewMs'), color),
      ];
    }),
    ...timeAxis(x, profile.seconds, skew.bottom + 20),
    ...captions.map((line, i) => text(LEFT, skew.bottom + 46 + 17 * i, line, { soft: true, size: 12 })),
  ];
  await screenshot(context, path, drawing({ width: WIDTH, height: skew.bottom + 45 + 17 * captions.length }, parts));
}

function chart(title: string, top: number, bottom: number, range: Chart['range'], marks: readonly number[]): Chart {
  return { title, top, bottom, range, marks };
}

function yOf({ top, bottom, range: [low, high] }: Chart, value: number): number {
  const share = (Math.min(high, Math.max(low, value)) - low) / (high - low);
  return bottom - share * (bottom - top);
}

function frame(one: Chart): string[] {
  const { title, top, bottom, marks } = one;
  return [
    text(LEFT, top - 8, title, { size: 13 }),
    ...(marks.length === 0 ? [line(LEFT, bottom, RIGHT, bottom, INK.line)] : []),
    ...marks.flatMap((mark) => [
      line(LEFT, yOf(one, mark), RIGHT, yOf(one, mark), Math.abs(mark) === SKEW_LIMIT_MS ? INK.soft : INK.line),
      text(LEFT - 8, yOf(one, mark) + 4, `${mark}`.replace('-', '−'), { soft: true, size: 12, anchor: 'end' }),
    ]),
  ];
}

function curve(one: Chart, x: (s: number) => number, points: readonly Point[], color: string, dashed = false): string {
  const at = points.map(({ s, value }) => `${x(s).toFixed(1)},${yOf(one, value).toFixed(1)}`);
  const dash = dashed ? ' stroke-dasharray="5 4"' : '';
  return `<polyline points="${at.join(' ')}" fill="none" stroke="${color}" stroke-width="1.8"${dash}/>`;
}

function legend(sides: readonly Side[]): string {
  const entries = [
    ...sides.map(({ name }, i) => ({ name, color: COLORS[i] ?? INK.strong, dash: '' })),
    { name: 'estimate', color: COLORS[0], dash: ' stroke-dasharray="5 4"' },
    { name: 'link', color: COLORS[2], dash: '' },
  ];
  let at = RIGHT - 380;
  return entries
    .map(({ name, color, dash }) => {
      const entry = `<line x1="${at}" y1="30" x2="${at + 22}" y2="30" stroke="${color}" stroke-width="2.4"${dash}/>${text(at + 28, 35, name)}`;
      at += 46 + name.length * 7.6;
      return entry;
    })
    .join('');
}

function timeAxis(x: (s: number) => number, seconds: number, y: number): string[] {
  return Array.from({ length: Math.floor(seconds / 5) + 1 }, (_, i) =>
    text(x(5 * i), y, `${5 * i} s`, { soft: true, size: 12, anchor: 'middle' }),
  );
}

/** The link's rate as a step function; a path without a bottleneck has none, a dead one carries nothing. */
function linkRates({ line: profile, seconds }: Profile): Point[] {
  const phases = parseProfile(profile);
  return phases.flatMap(({ atMs, down }, i) => {
    if (!down.isDead && !Number.isFinite(down.rateBps)) return [];
    const value = down.isDead ? 0 : down.rateBps / MBPS;
    return [
      { s: atMs / 1000, value },
      { s: (phases[i + 1]?.atMs ?? seconds * 1000) / 1000, value },
    ];
  });
}

function receivedRates({ samples }: Run): Point[] {
  return samples.slice(RATE_SAMPLES).map(({ atMs, bytes }, i) => {
    const before = samples[i];
    const value = before ? (8 * (bytes - before.bytes)) / ((atMs - before.atMs) / 1000) / MBPS : 0;
    return { s: atMs / 1000, value };
  });
}

/** Share of the audio since the previous sample. */
function concealment({ samples }: Run): Point[] {
  return samples.slice(RATE_SAMPLES).map(({ atMs, concealedSamples, audioSamples }, i) => {
    const before = samples[i];
    const heard = audioSamples - (before?.audioSamples ?? 0);
    const value = heard > 0 ? (100 * (concealedSamples - (before?.concealedSamples ?? 0))) / heard : 0;
    return { s: atMs / 1000, value };
  });
}

function samplesOf({ samples }: Run, name: 'height' | 'skewMs'): Point[] {
  return samples.flatMap((sample) => {
    const value = sample[name];
    return value === undefined ? [] : [{ s: sample.atMs / 1000, value }];
  });
}
