import { RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, SENDER, senderVariable } from './dashboard.ts';
import { heatmap, type Line, lines, stat } from './panels.ts';

const rate = (metric: string, by = 'instance') => `sum by (${by}) (rate(${metric}{${SENDER}}[$__rate_interval]))`;
const bySender = (metric: string): Line[] => [{ expr: rate(metric), legend: '{{instance}}' }];
const perViewer = (metric: string) =>
  `sum(rate(${metric}{${SENDER}}[$__rate_interval])) / sum(rate(humancast_viewer_reports_total{${SENDER}}[$__rate_interval]))`;

/** Delivery, from the media-sender's socket to the audio that viewers concealed. */
export const network = dashboard('humancast-network', 'Network', 'Loss, delay, the relay and sockets')
  .withVariable(senderVariable())
  .withPanel(
    stat(
      { title: 'Loss', description: 'Packets lost on the way to viewers', unit: 'percentunit', span: 6 },
      `sum(rate(humancast_viewer_packets_lost_total{${SENDER}}[$__rate_interval])) / (sum(rate(humancast_viewer_packets_lost_total{${SENDER}}[$__rate_interval])) + sum(rate(humancast_viewer_packets_received_total{${SENDER}}[$__rate_interval])))`,
      { limits: { warn: 0.005, bad: 0.02 } },
    ),
  )
  .withPanel(
    stat(
      { title: 'Round trip', description: 'p95 of viewers', unit: 's', span: 6 },
      `histogram_quantile(0.95, sum by (le) (rate(humancast_viewer_round_trip_seconds_bucket{${SENDER}}[$__rate_interval])))`,
      { limits: { warn: 0.15, bad: 0.3 } },
    ),
  )
  .withPanel(
    stat(
      {
        title: 'Frozen',
        description: 'Share of time during which the video was frozen',
        unit: 'percentunit',
        span: 6,
      },
      perViewer('humancast_viewer_freeze_seconds_total'),
      { limits: { warn: 0.001, bad: 0.01 } },
    ),
  )
  .withPanel(
    stat(
      {
        title: 'Relay',
        description: 'TURN allocations, out of 12,000 (total-quota)',
        span: 6,
        alert: 'TurnNearQuota',
      },
      'sum(turn_total_allocations)',
      { limits: { warn: 6000, bad: 9600 } },
    ),
  )
  .withRow(new RowBuilder('Viewers'))
  .withPanel(
    lines(
      {
        title: 'Loss',
        description: 'Share of packets, by media-sender',
        unit: 'percentunit',
        alert: 'LipSyncOutsideR37',
      },
      [{ expr: `instance:humancast_viewer_loss:ratio_rate5m{${SENDER}}`, legend: '{{instance}}' }],
      { min: 0, limits: { warn: 0.005, bad: 0.02 } },
    ),
  )
  .withPanel(
    heatmap(
      { title: 'Estimated bandwidth', description: 'Bandwidth of the path to each viewer', unit: 'bps' },
      `sum by (le) (increase(humancast_sender_estimate_bits_per_second_bucket{${SENDER}}[$__rate_interval]))`,
    ).height(8),
  )
  .withPanel(
    lines(
      {
        title: 'Viewers by rung',
        description: 'Rendition that is sent: 0 is the largest of the avatar, higher numbers are smaller ones',
        unit: 'none',
      },
      [{ expr: `sum by (rung) (humancast_sender_rung_viewers{${SENDER}})`, legend: 'rung {{rung}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        id: 30,
        title: 'Lowest rung',
        description: 'Share of viewers that are sent the smallest rendition, by media-sender. Good: below 5 %',
        unit: 'percentunit',
        alert: 'ViewersOnLowestRung',
      },
      [{ expr: `instance:humancast_sender_lowest_rung:ratio{${SENDER}}`, legend: '{{instance}}' }],
      { min: 0, limits: { bad: 0.3 } },
    ),
  )
  .withPanel(
    heatmap(
      { title: 'Round trip', description: 'End to end, as measured by browsers' },
      `sum by (le) (increase(humancast_viewer_round_trip_seconds_bucket{${SENDER}}[$__rate_interval]))`,
    ).height(8),
  )
  .withPanel(
    lines(
      {
        title: 'Freezes',
        description: 'Per viewer and minute, and the share of time frozen. Good: 0',
        unit: 'none',
      },
      [
        { expr: `60 * (${perViewer('humancast_viewer_freezes_total')})`, legend: 'freezes per minute' },
        { expr: perViewer('humancast_viewer_freeze_seconds_total'), legend: 'share of time' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Concealed audio',
        description: 'Share of time during which viewers concealed audio',
        unit: 'percentunit',
      },
      [{ expr: perViewer('humancast_viewer_concealed_seconds_total'), legend: 'concealed' }],
      { min: 0, limits: { bad: 0.02 } },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Frames per viewer',
        description:
          'Decoded per second, and decoded too late to render. Decoded should equal the frame rate of the clip',
        unit: 'none',
      },
      [
        { expr: perViewer('humancast_viewer_frames_decoded_total'), legend: 'decoded' },
        { expr: perViewer('humancast_viewer_frames_dropped_total'), legend: 'dropped' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Jitter buffers', description: 'Delay (p95)', unit: 's' },
      [
        {
          expr: `histogram_quantile(0.95, sum by (track, le) (rate(humancast_viewer_jitter_buffer_seconds_bucket{${SENDER}}[$__rate_interval])))`,
          legend: '{{track}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Sent'))
  .withPanel(
    lines({ title: 'Packets', description: 'Per second', unit: 'pps' }, bySender('humancast_sender_packets_total'), {
      min: 0,
    }),
  )
  .withPanel(
    lines({ title: 'Bytes', description: 'Per second', unit: 'Bps' }, bySender('humancast_sender_bytes_total'), {
      min: 0,
    }),
  )
  .withPanel(
    lines(
      {
        title: 'Rate per viewer',
        description: 'Sent to each viewer on average, with redundancy and retransmissions',
        unit: 'bps',
      },
      [
        {
          expr: `8 * ${rate('humancast_sender_bytes_total')} / clamp_min(sum by (instance) (humancast_sender_viewers{${SENDER}}), 1)`,
          legend: '{{instance}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Share of repair',
        description: 'Share of the bytes sent that are audio redundancy (RED) or retransmissions',
        unit: 'percentunit',
      },
      ['audio_redundancy', 'retransmitted'].map((part) => ({
        expr: `sum(rate(humancast_sender_${part}_bytes_total{${SENDER}}[$__rate_interval])) / sum(rate(humancast_sender_bytes_total{${SENDER}}[$__rate_interval]))`,
        legend: part === 'retransmitted' ? 'retransmitted' : 'redundancy',
      })),
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Retransmission',
        description: 'Packets requested by NACK, packets retransmitted, and keyframe requests, per second',
        unit: 'ops',
      },
      [
        { expr: rate('humancast_sender_nacks_total'), legend: '{{instance}} NACKed' },
        { expr: rate('humancast_sender_retransmissions_total'), legend: '{{instance}} retransmitted' },
        { expr: rate('humancast_sender_plis_total'), legend: '{{instance}} keyframe requests' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Dropped before sending',
        description: 'Packets per second: not connected, or rejected by the socket',
        unit: 'pps',
      },
      bySender('humancast_sender_packets_dropped_total'),
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Relay and sockets'))
  .withPanel(
    lines(
      {
        id: 19,
        title: 'Allocations',
        description: 'Open in coturn; one or two per viewer',
        alert: 'TurnNearQuota',
      },
      [{ expr: 'sum by (instance, type) (turn_total_allocations)', legend: '{{instance}} {{type}}' }],
      { min: 0, limits: { bad: 9600 } },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Relayed',
        description: 'Bytes to viewers; coturn counts an allocation when it ends',
        unit: 'Bps',
      },
      [{ expr: 'sum by (instance) (rate(turn_total_traffic_sentb[5m]))', legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Credentials issued',
        description: 'Per second, by signaling process',
        unit: 'ops',
        alert: 'TurnNearQuota',
      },
      [{ expr: 'rate(humancast_signaling_turn_credentials_total[$__rate_interval])', legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        id: 22,
        title: 'Sockets by state',
        description: 'TCP; connections to Redis are constant, viewers are incoming',
        alert: 'SocketsNearPortRange',
      },
      [{ expr: 'max by (job, state) (humancast_tcp_sockets) > 0', legend: '{{job}} {{state}}' }],
      { min: 0, limits: { bad: 20_000 } },
    ),
  )
  .withRow(new RowBuilder('Audio repair'))
  .withPanel(
    lines(
      {
        title: 'Redundancy',
        description: 'Earlier packets repeated in each audio packet (RED), 0 to 2. Rises with the loss',
        unit: 'none',
      },
      [
        {
          expr: `${rate('humancast_sender_audio_redundant_packets_total')} / ${rate('humancast_sender_audio_packets_total')}`,
          legend: '{{instance}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Redundancy bytes', description: 'Added to audio packets (RED), per second', unit: 'Bps' },
      bySender('humancast_sender_audio_redundancy_bytes_total'),
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Audio retransmission',
        description: 'Audio packets requested by NACK, and retransmitted, per second',
        unit: 'ops',
      },
      [
        { expr: rate('humancast_sender_audio_nacks_total'), legend: '{{instance}} NACKed' },
        { expr: rate('humancast_sender_audio_retransmissions_total'), legend: '{{instance}} retransmitted' },
      ],
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Microphones'))
  .withPanel(
    lines(
      { title: 'Microphone packets', description: 'Received of viewers that speak, per second', unit: 'pps' },
      bySender('humancast_sender_microphone_packets_total'),
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Microphone loss',
        description: 'Packets that never came, also not as redundancy or again',
        unit: 'pps',
      },
      bySender('humancast_sender_microphone_lost_total'),
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Voices dropped',
        description: 'Because a producer did not read in time, seconds per second',
        unit: 's',
      },
      [{ expr: 'sum(rate(humancast_signaling_dropped_voice_seconds_total[$__rate_interval]))', legend: 'dropped' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Voice frames dropped', description: 'Because redis-media was slow or away, per second', unit: 'ops' },
      bySender('humancast_sender_voice_frames_dropped_total'),
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Listeners', description: "Producers that hear a session's viewers", unit: 'none' },
      [{ expr: 'sum(humancast_signaling_listeners)', legend: 'listeners' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Microphone concealment', description: 'Audio made up for lost packets, seconds per second', unit: 's' },
      bySender('humancast_sender_microphone_concealed_seconds_total'),
      { min: 0 },
    ),
  );
