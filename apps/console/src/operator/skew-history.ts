import type { ViewerState } from '@humancast/protocol';

/** Seconds that the chart shows. */
const LENGTH = 120;
/** A report older than this says nothing about now. */
const FRESH_MS = 4000;

/** What the chart draws: seconds since the Unix epoch, and for each viewer its skew at those, ms. */
export interface SkewHistory {
  readonly atSeconds: readonly number[];
  readonly viewers: readonly { readonly viewer: string; readonly skewMs: readonly (number | null)[] }[];
}

export const NO_HISTORY: SkewHistory = { atSeconds: [], viewers: [] };

/** One look more. A viewer that came later has nothing before; one that has gone is kept as long as it is in the picture. */
export function withLook(history: SkewHistory, viewers: readonly ViewerState[], nowMs: number): SkewHistory {
  const atSeconds = [...history.atSeconds, nowMs / 1000].slice(-LENGTH);
  const known = new Set(history.viewers.map(({ viewer }) => viewer));
  const before = [
    ...history.viewers,
    ...viewers
      .filter(({ viewer, report }) => report?.skewMs !== undefined && !known.has(viewer))
      .map(({ viewer }) => ({ viewer, skewMs: history.atSeconds.map(() => null) })),
  ];
  const curves = before.map(({ viewer, skewMs }) => {
    const report = viewers.find((other) => other.viewer === viewer)?.report;
    const fresh = report !== undefined && nowMs - report.atMs < FRESH_MS;
    return { viewer, skewMs: [...skewMs, fresh ? (report.skewMs ?? null) : null].slice(-LENGTH) };
  });
  return { atSeconds, viewers: curves.filter(({ skewMs }) => skewMs.some((value) => value !== null)) };
}
