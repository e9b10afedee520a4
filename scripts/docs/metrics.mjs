// Generates docs/metrics.md from the metrics that the services register.
import { join } from 'node:path';
import { runMain, Stop } from '../lib/output.mjs';
import { table, writePage } from '../lib/page.mjs';
import { ROOT } from '../lib/run.mjs';
import { unusedMetrics } from '../lib/unused-metrics.mjs';

const INTRO = `# Metrics

<!-- Made by \`npm run docs\` out of the metrics that the services register; changes belong there. -->

Each service serves \`GET /metrics\` on a separate port that must not be published (\`SIGNALING_METRICS_PORT\`,
\`LOADER_METRICS_PORT\`, \`SENDER_METRICS_PORT\`), in Prometheus' text format and base units. The cardinality of labels does not grow
with the number of users. In addition to the metrics below there are prom-client's \`process_…\` and \`nodejs_…\` (CPU, memory, event
loop, garbage collection), and coturn's \`turn_…\` if it was built with them.

The coturn metrics in use (\`turn_total_allocations\`, \`turn_total_traffic_sentb\`) have the names of its source
(\`src/apps/relay/prom_server.c\`). The dashboard and the alert are tested against an exporter with the same names, not against a
real coturn: Debian's package (used by \`npm start\` and the tests) is built without Prometheus, only coturn's own image has it.

Dashboards are in \`infra/grafana\`, alerts in \`infra/prometheus/rules\`; [runbooks](runbooks/README.md) describe what to do.

Lip-sync skew is positive when the video is late. Its buckets end at the field's thresholds: EBU R37 (audio at most 40 ms early or
60 ms late), ATSC IS-191 (15 and 45 ms), ITU-R BT.1359 (detectable at 45 and 125 ms, unacceptable at 90 and 185 ms).
`;

/** @typedef {{ name: string, help: string, type: string, labelNames: readonly string[] }} Described */

runMain(async () => {
  const sections = [];
  const seen = new Set();
  for (const { title, about, metrics } of await services()) {
    const rows = metrics
      .filter(({ name }) => name.startsWith('humancast_') && !seen.has(name))
      .map(({ name, help, type, labelNames }) => [
        `\`${name}\``,
        type,
        labelNames.map((l) => `\`${l}\``).join(' '),
        help,
      ]);
    for (const { name } of metrics) seen.add(name);
    sections.push(`## ${title}\n\n${about}\n\n${table(['Metric', 'Type', 'Labels', 'Description'], rows)}\n`);
  }
  const unused = unusedMetrics([...seen].filter((name) => name.startsWith('humancast_')));
  if (unused.length > 0) throw new Stop(`no dashboard and no rule uses ${unused.join(', ')}`);
  writePage('docs/metrics.md', [INTRO, ...sections].join('\n'));
});

async function services() {
  /** @type {typeof import('@humancast/shared')} */
  const { createRegistry } = await import(join(ROOT, 'packages/shared/dist/index.js'));
  const built = (/** @type {string} */ path) => import(join(ROOT, 'services', path));
  const [sender, signaling, fleet, loader, live, retention, say] = await Promise.all([
    built('media-sender/dist/metrics.js'),
    built('signaling/dist/metrics.js'),
    built('signaling/dist/observability/fleet-metrics.js'),
    built('segment-loader/dist/metrics.js'),
    built('segment-loader/dist/live/live-metrics.js'),
    built('segment-loader/dist/retention/retention-metrics.js'),
    built('../examples/demo-producer/dist/metrics.js'),
  ]);
  const every = createRegistry('any');
  const ofSender = createRegistry('media-sender');
  new sender.SenderMetrics(ofSender, { cache: {} });
  const ofSignaling = createRegistry('signaling');
  new signaling.SignalingMetrics(ofSignaling);
  const ofFleet = createRegistry('signaling');
  fleet.registerFleetMetrics(ofFleet, () => undefined);
  const ofLoader = createRegistry('segment-loader');
  new loader.LoaderMetrics(ofLoader).watch({});
  new live.LiveMetrics(ofLoader).watch(() => 0);
  new retention.RetentionMetrics(ofLoader);
  const ofSay = createRegistry('demo-producer');
  new say.SayMetrics(ofSay);
  return [
    { title: 'All services', about: 'All metrics have the label `service`.', metrics: described(every) },
    {
      title: 'media-sender',
      about: '`humancast_viewer_…` is reported by viewers, about once a second each.',
      metrics: described(ofSender),
    },
    { title: 'segment-loader', about: 'Files, uploads and live pushes.', metrics: described(ofLoader) },
    { title: 'demo-producer', about: 'Typed text, in the demo.', metrics: described(ofSay) },
    { title: 'signaling', about: 'Public endpoints.', metrics: described(ofSignaling) },
    {
      title: 'What all services share',
      about: 'Every signaling process reports the same value: use `max`, not `sum`.',
      metrics: described(ofFleet),
    },
  ];
}

/**
 * Reads the metrics from fields that the registry's type hides.
 * @param {import('@humancast/shared').Registry} registry
 */
const described = (registry) => /** @type {Described[]} */ (/** @type {unknown} */ (registry.getMetricsAsArray()));
