import { RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, SENDER, senderVariable } from './dashboard.ts';
import { firingAlerts, heatmap, lines, skewLines, stat } from './panels.ts';

const buckets = (metric: string) => `sum by (le) (increase(${metric}_bucket{${SENDER}}[$__rate_interval]))`;
const quantile = (q: number, metric: string) =>
  `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket{${SENDER}}[$__rate_interval])))`;
const spread = (metric: string) => [
  { expr: quantile(0.995, metric), legend: 'p99.5 (video late)' },
  { expr: quantile(0.5, metric), legend: 'median' },
  { expr: quantile(0.005, metric), legend: 'p0.5 (video early)' },
];
const delays = (metric: string, q: number) =>
  ['audio', 'video'].map((track) => ({
    expr: `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket{${SENDER}, track="${track}"}[$__rate_interval])))`,
    legend: `${track} (p${q * 100})`,
  }));

/** Lip-sync skew, as sent and as played. */
export const sync = dashboard('humancast-sync', 'Sync', 'Lip-sync skew, as sent and as played')
  .withVariable(senderVariable())
  .withPanel(
    stat(
      {
        title: 'Outside of EBU R37',
        description: 'Share of viewer reports of the last 5 min with audio more than 40 ms early or 60 ms late',
        unit: 'percentunit',
        alert: 'LipSyncOutsideR37',
      },
      'fleet:humancast_viewer_skew_outside_r37:ratio_rate5m',
      { limits: { warn: 0.001, bad: 0.01 } },
    ),
  )
  .withPanel(
    stat(
      {
        title: 'Worst, as played',
        description: 'Absolute skew in the worst 1 % of the reports',
        unit: 's',
      },
      `max(abs(${quantile(0.995, 'humancast_viewer_skew_seconds')}) or abs(${quantile(0.005, 'humancast_viewer_skew_seconds')}))`,
      { limits: { warn: 0.015, bad: 0.04 } },
    ),
  )
  .withPanel(
    stat(
      {
        title: 'Worst, as sent',
        description: 'The same when frames and audio were sent: the media-sender’s contribution',
        unit: 's',
      },
      `max(abs(${quantile(0.995, 'humancast_sender_skew_seconds')}) or abs(${quantile(0.005, 'humancast_sender_skew_seconds')}))`,
      { limits: { warn: 0.01, bad: 0.04 } },
    ),
  )
  .withPanel(
    stat(
      { title: 'Viewers reporting', description: 'Reports per second; each playing viewer sends one' },
      `sum(rate(humancast_viewer_reports_total{${SENDER}}[$__rate_interval]))`,
    ),
  )
  .withPanel(firingAlerts())
  .withRow(new RowBuilder('As played'))
  .withPanel(
    heatmap(
      {
        title: 'Lip-sync skew, as played',
        description:
          'Positive: the video is late. Buckets end at the thresholds ±15 and +45 ms (ATSC IS-191), +40 and −60 ms (EBU R37), ±45, 90, 125 and 185 ms (ITU-R BT.1359). Good: everything within ±15 ms.',
        alert: 'LipSyncOutsideR37',
      },
      buckets('humancast_viewer_skew_seconds'),
    ),
  )
  .withPanel(
    skewLines(
      {
        id: 8,
        title: 'Spread, as played',
        description: 'Median and extremes, with the standard limits. Red is outside of EBU R37, where people notice.',
        alert: 'LipSyncOutsideR37',
      },
      spread('humancast_viewer_skew_seconds'),
    ).height(10),
  )
  .withPanel(
    lines(
      {
        title: 'Outside of EBU R37, by media-sender',
        description: 'A single outlier: drain it. All together: the network or a release.',
        unit: 'percentunit',
        alert: 'LipSyncOutsideR37',
      },
      [{ expr: `instance:humancast_viewer_skew_outside_r37:ratio_rate5m{${SENDER}}`, legend: '{{instance}}' }],
      { min: 0, limits: { bad: 0.01 } },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Worst, by media-sender',
        description:
          'Extremes of each media-sender’s viewers (p99). The console’s /?operate shows which session it is.',
        unit: 's',
      },
      [
        {
          expr: `histogram_quantile(0.99, sum by (instance, le) (rate(humancast_viewer_skew_seconds_bucket{${SENDER}}[$__rate_interval])))`,
          legend: '{{instance}} video late',
        },
        {
          expr: `histogram_quantile(0.01, sum by (instance, le) (rate(humancast_viewer_skew_seconds_bucket{${SENDER}}[$__rate_interval])))`,
          legend: '{{instance}} audio late',
        },
      ],
    ),
  )
  .withRow(new RowBuilder('Lip-sync trim'))
  .withPanel(
    heatmap(
      {
        title: 'Without the trim',
        description: 'Skew that viewers would have without trimming their jitter buffers',
      },
      buckets('humancast_viewer_untrimmed_skew_seconds'),
    ),
  )
  .withPanel(
    skewLines(
      { title: 'Spread without the trim', description: 'Compare with the spread as played' },
      spread('humancast_viewer_untrimmed_skew_seconds'),
    ).height(10),
  )
  .withPanel(
    lines(
      { title: 'Trim', description: 'Delay added to the early track', unit: 's' },
      [...delays('humancast_viewer_trim_seconds', 0.5), ...delays('humancast_viewer_trim_seconds', 0.95)],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Jitter buffers',
        description:
          'Delay, including the trim. Rising on both tracks: the network. On one: the trim or a stuck track.',
        unit: 's',
      },
      delays('humancast_viewer_jitter_buffer_seconds', 0.95),
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('As sent'))
  .withPanel(
    heatmap(
      {
        title: 'Lip-sync skew, as sent',
        description:
          'Skew of each frame against the audio of the same instant when sent. Timestamps are unaffected: viewers see only what their jitter buffers cannot absorb. Good: within ±6 ms.',
        alert: 'PacketsLate',
      },
      buckets('humancast_sender_skew_seconds'),
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Lateness',
        description: 'Delay past the send deadline (p99)',
        unit: 's',
        alert: 'PacketsLate',
      },
      delays('humancast_sender_lateness_seconds', 0.99),
      { min: 0, limits: { warn: 0.005, bad: 0.01 } },
    ).height(10),
  );
