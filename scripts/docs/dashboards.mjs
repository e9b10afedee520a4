// Generates infra/grafana/dashboards/*.json from infra/grafana/src.
import { dashboards } from '../../infra/grafana/src/index.ts';
import { runMain } from '../lib/output.mjs';
import { writePage } from '../lib/page.mjs';

runMain(async () => {
  for (const [name, dashboard] of Object.entries(dashboards)) {
    writePage(`infra/grafana/dashboards/${name}.json`, `${JSON.stringify(dashboard, undefined, 2)}\n`);
  }
});
