import { RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, SENDER, senderVariable, variable } from './dashboard.ts';
import { firingAlerts, lines, stat, table } from './panels.ts';

const OF_SENDERS = `job="media-sender", ${SENDER}`;

/** Is there room, does everything leave in time, and who moved where? */
export const fleet = dashboard('humancast-fleet', 'Fleet', 'Sessions, places, timing and hand-overs, by media-sender')
  .withVariable(senderVariable())
  .withVariable(variable('avatar', 'Avatar', 'label_values(humancast_sender_avatar_sessions, avatar)'))
  .withPanel(
    stat(
      {
        title: 'Free places',
        description: 'On media-senders that take sessions',
        alert: 'NoFreeCapacity',
      },
      'fleet:humancast_sender_free_places:sum',
      { goodFrom: 1 },
    ),
  )
  .withPanel(stat({ title: 'Sessions', description: 'Hosted now' }, `sum(humancast_sender_sessions{${SENDER}})`))
  .withPanel(
    stat(
      {
        title: 'Waiting for a host',
        description: 'Sessions that nobody plays yet, or any more',
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
        description: 'From connect to the first decoded frame (95 % of the last hour)',
        unit: 's',
      },
      `histogram_quantile(0.95, sum by (le) (increase(humancast_viewer_first_frame_seconds_bucket{${SENDER}}[1h])))`,
      { limits: { warn: 0.5, bad: 1 } },
    ),
  )
  .withPanel(firingAlerts())
  .withRow(new RowBuilder('Room'))
  .withPanel(
    lines(
      { title: 'Places', description: 'Sessions against what each one takes', alert: 'NoFreeCapacity' },
      [
        { expr: `humancast_sender_sessions{${SENDER}}`, legend: '{{instance}} sessions' },
        { expr: `humancast_sender_capacity{${SENDER}}`, legend: '{{instance}} places' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Accepting',
        description: '0: it drains, its event loop is behind, or it cannot reach redis-queue',
        alert: 'NoFreeCapacity',
      },
      [{ expr: `humancast_sender_accepting{${SENDER}}`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Viewers', description: 'Connected, and those who joined and wait' },
      [
        { expr: `humancast_sender_viewers{${SENDER}}`, legend: '{{instance}}' },
        { expr: 'sum(humancast_signaling_waiting_viewers)', legend: 'waiting for an offer' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Sessions by avatar', description: 'Hosted now' },
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
        description: 'As the registry has them; queued: waiting for a host',
        alert: 'SessionsWithoutHost',
      },
      [{ expr: 'max by (state) (humancast_sessions)', legend: '{{state}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Jobs', description: 'BullMQ: an active job of sessions is a hosted session; a failed one is a bug' },
      [{ expr: 'max by (queue, state) (humancast_queue_jobs)', legend: '{{queue}} {{state}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Oldest job',
        description: 'For how long it has been waiting. Good: 0',
        unit: 's',
        alert: 'SessionsWithoutHost',
      },
      [{ expr: 'max by (queue) (humancast_queue_oldest_seconds)', legend: '{{queue}}' }],
      { min: 0, limits: { bad: 15 } },
    ),
  )
  .withPanel(
    lines(
      { title: 'First frame', description: 'From connect to the first decoded frame', unit: 's' },
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
        title: 'Late by more than 10 ms',
        description: 'Share of packets and frames. Good: under 0.1 %',
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
        description: 'Delay of the process’s event loop (99 %). Above 15 ms it takes no more sessions',
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
        description: 'Cores; a media-sender is full at one',
        alert: 'PacketsLate',
      },
      [{ expr: 'rate(process_cpu_seconds_total[$__rate_interval])', legend: '{{job}} {{instance}}' }],
      { min: 0, limits: { warn: 0.7, bad: 0.9 } },
    ),
  )
  .withPanel(
    lines(
      { title: 'Memory', description: 'Resident, by process', unit: 'bytes' },
      [{ expr: 'process_resident_memory_bytes', legend: '{{job}} {{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Garbage collection', description: 'Share of the time that it takes', unit: 'percentunit' },
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
        description: 'Seconds a second in which the process could not play at all. Good: 0',
        unit: 'percentunit',
        alert: 'PacketsLate',
      },
      [{ expr: `rate(humancast_sender_skipped_seconds_total{${SENDER}}[$__rate_interval])`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Speaking, and changing hands'))
  .withPanel(
    lines(
      { title: 'Segments over', description: 'A second, by how they ended; failed ones had no media', unit: 'ops' },
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
        title: 'Interruptions',
        description: 'From accepting one to the last old sound and the first other picture (99 %), and how many',
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
      { title: 'Barge-ins', description: 'A second', unit: 'ops', span: 8 },
      [{ expr: `sum(rate(humancast_sender_interrupts_total{${SENDER}}[$__rate_interval]))`, legend: 'interrupted' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Taken',
        description: 'Sessions that each began to host; from another: it went on where that one was',
        span: 8,
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
      { title: 'Left', description: 'Sessions hosted no more; moved: handed over; taken-over: lost', span: 8 },
      [
        {
          expr: `sum by (reason) (increase(humancast_sender_sessions_left_total{${SENDER}}[$__rate_interval]))`,
          legend: '{{reason}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('The public door'))
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
      { title: 'Coming', description: 'Joins and new sessions a second', unit: 'ops' },
      [
        { expr: 'sum by (kind) (rate(humancast_signaling_joins_total[$__rate_interval]))', legend: 'joined: {{kind}}' },
        {
          expr: 'sum by (kind) (rate(humancast_signaling_sessions_total[$__rate_interval]))',
          legend: 'session made: {{kind}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Errors told to callers', description: 'A second, by code', unit: 'ops' },
      [{ expr: 'sum by (code) (rate(humancast_signaling_errors_total[$__rate_interval]))', legend: '{{code}}' }],
      { min: 0 },
    ),
  )
  // A counter that has counted nothing yet has no series: that is none, not unknown.
  .withPanel(
    lines(
      { title: 'Turned away', description: 'Requests and connections beyond a limit, a second', unit: 'ops' },
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
      { title: 'Not understood', description: 'Datagrams dropped and records passed over, a second', unit: 'ops' },
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
        title: 'Answering',
        description: '0: the process is gone, hangs, or Prometheus cannot reach it',
        alert: 'ServiceDown',
      },
      [{ expr: 'up', legend: '{{job}} {{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    table({ title: 'What runs', description: 'Versions, by process', unit: 'none' }, 'humancast_build_info', [
      'Value',
      'service',
    ]),
  );
