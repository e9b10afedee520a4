import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dashboards } from '../../infra/grafana/src/index.ts';
import { ROOT } from './run.mjs';

/**
 * Finds the metrics that no query of a dashboard and no Prometheus rule reads.
 * @param {Iterable<string>} names
 * @returns {string[]}
 */
export function unusedMetrics(names) {
  const rules = ['alerts', 'recording'].map((file) =>
    readFileSync(join(ROOT, `infra/prometheus/rules/${file}.yml`), 'utf8'),
  );
  const readers = [...queries(), ...rules].join('\n');
  return [...names].filter((name) => !new RegExp(`\\b${name}(_bucket|_sum|_count)?\\b`).test(readers)).sort();
}

function queries() {
  return Object.values(dashboards).flatMap(({ panels = [] }) =>
    panels.flatMap((panel) => {
      if (!('targets' in panel)) return [];
      return (panel.targets ?? []).map((target) => /** @type {{ expr?: string }} */ (target).expr ?? '');
    }),
  );
}
