// docs/metrics.md, out of the metrics that the services register.
import { join } from 'node:path';
import { runMain } from '../lib/output.mjs';
import { table, writePage } from '../lib/page.mjs';
import { ROOT } from '../lib/run.mjs';

const INTRO = `# Metrics

<!-- Made by \`npm run docs\` out of the metrics that the services register; changes belong there. -->

Each service answers \`GET /metrics\` on a port of its own that is not for the public (\`SIGNALING_METRICS_PORT\`,
\`LOADER_METRICS_PORT\`, \`SENDER_METRICS_PORT\`), in Prometheus' text format and base units. No label grows with the number of
users. Besides what is listed here there are \`process_…\` and \`nodejs_…\` of prom-client: CPU, memory, event loop, garbage
collection; and \`turn_…\` of coturn, where it is built with them.

What is used of coturn (\`turn_total_allocations\`, \`turn_total_traffic_sentb\`) is named as in its source
(\`src/apps/relay/prom_server.c\`), and the dashboard and the alert are tested against an exporter that speaks like it. Against a
real coturn they are not: Debian's is built without (\`npm start\` and the tests use that), only coturn's own image has it.

What is drawn of it is in \`infra/grafana\`, what alerts of it in \`infra/prometheus/rules\`; what to do then is in
[the runbooks](runbooks/README.md).

Picture against voice is positive when the picture is late. Its buckets end at the thresholds that the field goes by: EBU R37
(sound at most 40 ms early or 60 ms late), ATSC IS-191 (15 and 45 ms), ITU-R BT.1359 (detectable at 45 and 125 ms,
unacceptable at 90 and 185 ms).
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
    sections.push(`## ${title}\n\n${about}\n\n${table(['Metric', 'Type', 'Labels', 'What it is'], rows)}\n`);
  }
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
    { title: 'Every service', about: 'With the label `service`, as all that follows.', metrics: described(every) },
    {
      title: 'media-sender',
      about: '`humancast_viewer_…` is what the viewers of its sessions report, about once a second each.',
      metrics: described(ofSender),
    },
    { title: 'segment-loader', about: 'Files, uploads and live pushes.', metrics: described(ofLoader) },
    { title: 'demo-producer', about: 'Typed texts, where there is one.', metrics: described(ofSay) },
    { title: 'signaling', about: 'The public door.', metrics: described(ofSignaling) },
    {
      title: 'What all services share',
      about: 'Told by every signaling process alike: take `max` over them, not `sum`.',
      metrics: described(ofFleet),
    },
  ];
}

/**
 * A registry knows its metrics by fields that its type keeps to itself.
 * @param {import('@humancast/shared').Registry} registry
 */
const described = (registry) => /** @type {Described[]} */ (/** @type {unknown} */ (registry.getMetricsAsArray()));
