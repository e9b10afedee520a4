import { RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, SENDER, senderVariable } from './dashboard.ts';
import { firingAlerts, heatmap, lines, skewLines, stat } from './panels.ts';

const buckets = (metric: string) => `sum by (le) (increase(${metric}_bucket{${SENDER}}[$__rate_interval]))`;
const quantile = (q: number, metric: string) =>
  `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket{${SENDER}}[$__rate_interval])))`;
const spread = (metric: string) => [
  { expr: quantile(0.995, metric), legend: 'latest picture (99.5 %)' },
  { expr: quantile(0.5, metric), legend: 'median' },
  { expr: quantile(0.005, metric), legend: 'earliest picture (0.5 %)' },
];
const delays = (metric: string, q: number) =>
  ['audio', 'video'].map((track) => ({
    expr: `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket{${SENDER}, track="${track}"}[$__rate_interval])))`,
    legend: `${track === 'audio' ? 'voice' : 'picture'} (${q * 100} %)`,
  }));

/** The first that anyone opens: are picture and voice together, and if not, where do they part? */
export const sync = dashboard('humancast-sync', 'Sync', 'How far picture and voice are apart, from where they are sent')
  .withVariable(senderVariable())
  .withPanel(
    stat(
      {
        title: 'Outside of EBU R37',
        description:
          'Share of viewers’ reports of the last five minutes with the sound more than 40 ms early or 60 ms late',
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
        description: 'How far picture and voice are apart in the worst hundredth of the reports, either way',
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
        description: 'The same for frames and their sound when they left: the media-sender’s own part',
        unit: 's',
      },
      `max(abs(${quantile(0.995, 'humancast_sender_skew_seconds')}) or abs(${quantile(0.005, 'humancast_sender_skew_seconds')}))`,
      { limits: { warn: 0.01, bad: 0.04 } },
    ),
  )
  .withPanel(
    stat(
      { title: 'Viewers reporting', description: 'Reports a second; each viewer that plays sends one' },
      `sum(rate(humancast_viewer_reports_total{${SENDER}}[$__rate_interval]))`,
    ),
  )
  .withPanel(firingAlerts())
  .withRow(new RowBuilder('As viewers play it'))
  .withPanel(
    heatmap(
      {
        title: 'Picture against voice, as played',
        description:
          'Above zero the picture is late. Rows end at the thresholds: ±15 and +45 ms (ATSC IS-191), +40 and −60 ms (EBU R37), ±45, 90, 125 and 185 ms (ITU-R BT.1359). Good: everything within ±15 ms.',
        alert: 'LipSyncOutsideR37',
      },
      buckets('humancast_viewer_skew_seconds'),
    ),
  )
  .withPanel(
    skewLines(
      {
        title: 'Spread, as played',
        description:
          'The middle and both ends, with the limits that the field goes by. Red is outside of EBU R37: where people notice.',
        alert: 'LipSyncOutsideR37',
      },
      spread('humancast_viewer_skew_seconds'),
    ).height(10),
  )
  .withPanel(
    lines(
      {
        title: 'Outside of EBU R37, by media-sender',
        description: 'Is it all of them, or one? One alone is drained; all together it is the network, or a release.',
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
          'The latest picture and the latest voice of each one’s viewers (99 %). Which session it is, the console shows under /?operate.',
        unit: 's',
      },
      [
        {
          expr: `histogram_quantile(0.99, sum by (instance, le) (rate(humancast_viewer_skew_seconds_bucket{${SENDER}}[$__rate_interval])))`,
          legend: '{{instance}} picture late',
        },
        {
          expr: `histogram_quantile(0.01, sum by (instance, le) (rate(humancast_viewer_skew_seconds_bucket{${SENDER}}[$__rate_interval])))`,
          legend: '{{instance}} voice late',
        },
      ],
    ),
  )
  .withRow(new RowBuilder('Before and after the viewer’s trim'))
  .withPanel(
    heatmap(
      {
        title: 'Without the trim',
        description: 'What the skew would be if viewers did not trim their jitter buffers: the work that the trim has',
      },
      buckets('humancast_viewer_untrimmed_skew_seconds'),
    ),
  )
  .withPanel(
    skewLines(
      { title: 'Spread without the trim', description: 'To be compared with the spread as played' },
      spread('humancast_viewer_untrimmed_skew_seconds'),
    ).height(10),
  )
  .withPanel(
    lines(
      { title: 'What the trim adds', description: 'Delay given to the track that is early', unit: 's' },
      [...delays('humancast_viewer_trim_seconds', 0.5), ...delays('humancast_viewer_trim_seconds', 0.95)],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Jitter buffers',
        description:
          'What viewers wait for, trim included. Rising in both: the network. In one: the trim, or a stuck track.',
        unit: 's',
      },
      delays('humancast_viewer_jitter_buffer_seconds', 0.95),
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('As it is sent'))
  .withPanel(
    heatmap(
      {
        title: 'Picture against voice, as sent',
        description:
          'How much later against the timeline each frame left than the sound of its instant. Timestamps are not touched by it: viewers only see what their buffers cannot swallow. Good: within ±6 ms.',
        alert: 'PacketsLate',
      },
      buckets('humancast_sender_skew_seconds'),
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Lateness',
        description: 'How long after its time what is due was sent (99 %)',
        unit: 's',
        alert: 'PacketsLate',
      },
      delays('humancast_sender_lateness_seconds', 0.99),
      { min: 0, limits: { warn: 0.005, bad: 0.01 } },
    ).height(10),
  );
