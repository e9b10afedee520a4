import type { ViewerState } from '@humancast/protocol';

/** Number of values the chart shows, one per second. */
const LENGTH = 120;
/** Maximum age of a report, ms. */
const FRESH_MS = 4000;

/** Chart data: seconds since the Unix epoch, and each viewer's skew at those times, ms. */
export interface SkewHistory {
  readonly atSeconds: readonly number[];
  readonly viewers: readonly { readonly viewer: string; readonly skewMs: readonly (number | null)[] }[];
}

export const NO_HISTORY: SkewHistory = { atSeconds: [], viewers: [] };

/**
 * Appends the viewers' latest skew. A new viewer gets gaps before; one that has left stays until its values leave the chart.
 */
export function withReports(history: SkewHistory, viewers: readonly ViewerState[], nowMs: number): SkewHistory {
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
