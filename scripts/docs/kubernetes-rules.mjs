// infra/kubernetes/components/prometheus-operator/rules.yaml: the rules of infra/prometheus in the operator's format.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { runMain } from '../lib/output.mjs';
import { writePage } from '../lib/page.mjs';
import { ROOT } from '../lib/run.mjs';

const RULES = join(ROOT, 'infra/prometheus/rules');

runMain(async () => {
  const groups = readdirSync(RULES)
    .sort()
    .flatMap((name) => parse(readFileSync(join(RULES, name), 'utf8')).groups);
  const object = {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'humancast' },
    spec: { groups },
  };
  const head = '# Made by `npm run docs` out of infra/prometheus/rules; changes belong there.\n';
  writePage('infra/kubernetes/components/prometheus-operator/rules.yaml', head + stringify(object, { lineWidth: 125 }));
});
