import { RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, SENDER, senderVariable, variable } from './dashboard.ts';
import { firingAlerts, lines, stat, table } from './panels.ts';

const OF_SENDERS = `job="media-sender", ${SENDER}`;

/** Capacity, timing and hand-over of the fleet. */
export const fleet = dashboard('humancast-fleet', 'Fleet', 'Sessions, capacity, timing and hand-over, by media-sender')
  .withVariable(senderVariable())
  .withVariable(variable('avatar', 'Avatar', 'label_values(humancast_sender_avatar_sessions, avatar)'))
  .withPanel(
    stat(
      {
        title: 'Free capacity',
        description: 'Sessions that accepting media-senders can still take',
        alert: 'NoFreeCapacity',
      },
      'fleet:humancast_sender_free_places:sum',
      { goodFrom: 1 },
    ),
  )
  .withPanel(stat({ title: 'Sessions', description: 'Currently hosted' }, `sum(humancast_sender_sessions{${SENDER}})`))
  .withPanel(
    stat(
      {
        title: 'Waiting for a host',
        description: 'Sessions without a media-sender',
        alert: 'SessionsWithoutHost',
      },
      'max(humancast_sessions{state="queued"})',
      { limits: { bad: 1 } },
    ),
  )
  .withPanel(
    stat(
      {
        title: 'First frame',
        description: 'Time from connecting to the first decoded frame (p95 over 1 h)',
        unit: 's',
      },
      `histogram_quantile(0.95, sum by (le) (increase(humancast_viewer_first_frame_seconds_bucket{${SENDER}}[1h])))`,
      { limits: { warn: 0.5, bad: 1 } },
    ),
  )
  .withPanel(firingAlerts())
  .withRow(new RowBuilder('Capacity'))
  .withPanel(
    lines(
      {
        id: 7,
        title: 'Capacity',
        description: 'Sessions against the maximum of each media-sender',
        alert: 'NoFreeCapacity',
      },
      [
        { expr: `humancast_sender_sessions{${SENDER}}`, legend: '{{instance}} sessions' },
        { expr: `humancast_sender_capacity{${SENDER}}`, legend: '{{instance}} capacity' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Accepting',
        description: '0: draining, event loop overloaded, or redis-queue unreachable',
        alert: 'NoFreeCapacity',
      },
      [{ expr: `humancast_sender_accepting{${SENDER}}`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Packet path',
        description: 'Media-senders by how they encrypt packets: native (OpenSSL called directly) or javascript',
      },
      [{ expr: `sum by (path) (humancast_sender_packet_path{${SENDER}})`, legend: '{{path}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        id: 10,
        title: 'Viewers',
        description: 'Connected, against the maximum of each media-sender, and waiting for an offer',
        alert: 'ViewersNearCapacity',
      },
      [
        { expr: `humancast_sender_viewers{${SENDER}}`, legend: '{{instance}}' },
        { expr: `humancast_sender_viewer_capacity{${SENDER}}`, legend: '{{instance}} capacity' },
        { expr: 'sum(humancast_signaling_waiting_viewers)', legend: 'waiting for an offer' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Followed sessions',
        description:
          'Sessions of other hosts whose viewers a media-sender serves, and audio packets a second that it had no decision for. Good: 0 packets',
      },
      [
        { expr: `humancast_sender_followed_sessions{${SENDER}}`, legend: '{{instance}} sessions' },
        { expr: `rate(humancast_sender_decisions_missed_total{${SENDER}}[1m])`, legend: '{{instance}} silent packets' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Skew of followers',
        description:
          "How far a follower's timeline is from its host's, by the clock of Redis (p99, and p1). Good: within 5 ms",
        unit: 's',
      },
      [0.99, 0.01].map((quantile) => ({
        // 0 while nothing is followed.
        expr: `histogram_quantile(${quantile}, sum by (le, instance) (rate(humancast_sender_follower_skew_seconds_bucket{${SENDER}}[5m]))) > -1 or vector(0)`,
        legend: `{{instance}} p${100 * quantile}`,
      })),
    ),
  )
  .withPanel(
    lines(
      { title: 'Sessions by avatar', description: 'Currently hosted' },
      [
        {
          expr: `sum by (avatar) (humancast_sender_avatar_sessions{${SENDER}, avatar=~"$avatar"})`,
          legend: '{{avatar}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Sessions by state',
        description: 'From the registry; queued: waiting for a host',
        alert: 'SessionsWithoutHost',
      },
      [{ expr: 'max by (state) (humancast_sessions)', legend: '{{state}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Jobs',
        description: 'BullMQ jobs; an active job of `sessions` is a hosted session, a failed one is a bug',
      },
      [{ expr: 'max by (queue, state) (humancast_queue_jobs)', legend: '{{queue}} {{state}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        id: 13,
        title: 'Oldest job',
        description: 'Age of the oldest waiting job. Good: 0',
        unit: 's',
        alert: 'SessionsWithoutHost',
      },
      [{ expr: 'max by (queue) (humancast_queue_oldest_seconds)', legend: '{{queue}}' }],
      { min: 0, limits: { bad: 15 } },
    ),
  )
  .withPanel(
    lines(
      { title: 'First frame', description: 'Time from connecting to the first decoded frame', unit: 's' },
      [0.5, 0.95].map((q) => ({
        expr: `histogram_quantile(${q}, sum by (le) (rate(humancast_viewer_first_frame_seconds_bucket{${SENDER}}[$__range])))`,
        legend: `${q * 100} %`,
      })),
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Timing'))
  .withPanel(
    lines(
      {
        id: 16,
        title: 'Late by more than 10 ms',
        description: 'Share of audio packets and frames. Good: under 0.1 %',
        unit: 'percentunit',
        alert: 'PacketsLate',
      },
      [{ expr: `instance:humancast_sender_late:ratio_rate5m{${SENDER}}`, legend: '{{instance}}' }],
      { min: 0, limits: { bad: 0.01 } },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Event loop',
        description: 'Event-loop delay (p99). Above 15 ms a media-sender accepts no sessions',
        unit: 's',
        alert: 'PacketsLate',
      },
      [{ expr: `nodejs_eventloop_lag_p99_seconds{${OF_SENDERS}}`, legend: '{{instance}}' }],
      { min: 0, limits: { warn: 0.015, bad: 0.025 } },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'CPU',
        description: 'Cores; a media-sender saturates at one',
        alert: 'PacketsLate',
      },
      [{ expr: 'rate(process_cpu_seconds_total[$__rate_interval])', legend: '{{job}} {{instance}}' }],
      { min: 0, limits: { warn: 0.7, bad: 0.9 } },
    ),
  )
  .withPanel(
    lines(
      { title: 'Memory', description: 'Resident set size, by process', unit: 'bytes' },
      [{ expr: 'process_resident_memory_bytes', legend: '{{job}} {{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Garbage collection', description: 'Share of time', unit: 'percentunit' },
      [
        {
          expr: 'sum by (job, instance) (rate(nodejs_gc_duration_seconds_sum[$__rate_interval]))',
          legend: '{{job}} {{instance}}',
        },
      ],
      { min: 0, limits: { bad: 0.05 } },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Skipped',
        description: 'Share of time skipped because the process was stopped or starved. Good: 0',
        unit: 'percentunit',
        alert: 'PacketsLate',
      },
      [{ expr: `rate(humancast_sender_skipped_seconds_total{${SENDER}}[$__rate_interval])`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Speech and hand-over'))
  .withPanel(
    lines(
      { title: 'Segments done', description: 'Per second, by outcome; failed: no media', unit: 'ops' },
      [
        {
          expr: `sum by (reason) (rate(humancast_sender_speech_total{${SENDER}}[$__rate_interval]))`,
          legend: '{{reason}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Interrupt latency',
        description: 'Time from accepting an interrupt to the last old audio packet and the first new frame (p99)',
        unit: 's',
      },
      [
        {
          expr: `histogram_quantile(0.99, sum by (track, le) (rate(humancast_sender_interrupt_seconds_bucket{${SENDER}}[$__rate_interval])))`,
          legend: '{{track}}',
        },
      ],
      { min: 0, limits: { bad: 0.04 } },
    ),
  )
  .withPanel(
    lines(
      { title: 'Interrupts', description: 'Per second, by voice or by request', unit: 'ops' },
      [{ expr: `sum(rate(humancast_sender_interrupts_total{${SENDER}}[$__rate_interval]))`, legend: 'interrupted' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Voices over speech',
        description:
          'Per second, by what they did to it and what they were; brief: under 0.3 s, perhaps no word; limited: ignored, too many',
        unit: 'ops',
      },
      [
        {
          expr: `sum by (action, outcome) (rate(humancast_sender_barge_ins_total{${SENDER}}[$__rate_interval]))`,
          legend: '{{action}} {{outcome}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Sessions started',
        description: 'Sessions each media-sender started; from another: continued at its playhead',
      },
      [
        {
          expr: `sum by (instance, from) (increase(humancast_sender_sessions_taken_total{${SENDER}}[$__rate_interval]))`,
          legend: '{{instance}} from {{from}}',
        },
        {
          expr: 'sum(increase(humancast_signaling_sessions_released_total[$__rate_interval]))',
          legend: 'after a crash',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Sessions released',
        description: 'By reason; moved: handed over; taken-over: lost to another host',
      },
      [
        {
          expr: `sum by (reason) (increase(humancast_sender_sessions_left_total{${SENDER}}[$__rate_interval]))`,
          legend: '{{reason}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Public endpoints'))
  .withPanel(
    lines(
      { title: 'Connections', description: 'Open WebSockets and event streams, by signaling process' },
      [
        { expr: 'humancast_signaling_connections', legend: '{{instance}} WebSockets' },
        { expr: 'humancast_signaling_event_streams', legend: '{{instance}} event streams' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Joins', description: 'Joins and new sessions per second', unit: 'ops' },
      [
        { expr: 'sum by (kind) (rate(humancast_signaling_joins_total[$__rate_interval]))', legend: 'joined: {{kind}}' },
        {
          expr: 'sum by (kind) (rate(humancast_signaling_sessions_total[$__rate_interval]))',
          legend: 'session created: {{kind}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Errors returned', description: 'Per second, by code', unit: 'ops' },
      [{ expr: 'sum by (code) (rate(humancast_signaling_errors_total[$__rate_interval]))', legend: '{{code}}' }],
      { min: 0 },
    ),
  )
  // A counter that was never incremented has no series; the panel shows 0 instead of no data.
  .withPanel(
    lines(
      { title: 'Rejected by a limit', description: 'Requests and connections per second, by setting', unit: 'ops' },
      [
        {
          expr: 'sum by (limit) (rate(humancast_signaling_limited_total[$__rate_interval])) or vector(0)',
          legend: 'signaling: {{limit}}',
        },
        {
          expr: 'sum by (limit) (rate(humancast_loader_limited_total[$__rate_interval])) or vector(0)',
          legend: 'loader: {{limit}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Invalid input', description: 'Datagrams dropped and records skipped, per second', unit: 'ops' },
      [
        {
          expr: 'sum by (reason) (rate(humancast_sender_datagrams_dropped_total[$__rate_interval])) or vector(0)',
          legend: 'datagram: {{reason}}',
        },
        {
          expr: 'sum by (kind) (rate(humancast_unreadable_records_total[$__rate_interval])) or vector(0)',
          legend: 'record: {{kind}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        id: 34,
        title: 'Up',
        description: '0: the process has ended, hangs, or cannot be reached by Prometheus',
        alert: 'ServiceDown',
      },
      [{ expr: 'up', legend: '{{job}} {{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    table({ title: 'Versions', description: 'By process', unit: 'none' }, 'humancast_build_info', ['Value', 'service']),
  );
