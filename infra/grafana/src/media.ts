import { RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, SENDER, senderVariable } from './dashboard.ts';
import { lines, stat } from './panels.ts';

/** Is what is to be played there in time? From the file to the media-sender's memory. */
export const media = dashboard(
  'humancast-media',
  'Media',
  'Loading, live pushes, the media store and what is in memory',
)
  .withVariable(senderVariable())
  .withPanel(
    stat(
      {
        title: 'Prefetched',
        description: 'The least that any session has in memory ahead of its time',
        unit: 's',
        span: 6,
        alert: 'Underruns',
      },
      `min(humancast_sender_prefetched_seconds{${SENDER}} < +Inf)`,
      { goodFrom: 0.5 },
    ),
  )
  .withPanel(
    stat(
      {
        title: 'Standing still',
        description: 'Share of the time that sessions hold for late media, where it is worst',
        unit: 'percentunit',
        span: 6,
        alert: 'Underruns',
      },
      `max(instance:humancast_sender_held:ratio_rate5m{${SENDER}})`,
      { limits: { warn: 0.001, bad: 0.005 } },
    ),
  )
  .withPanel(
    stat(
      {
        title: 'Files that cannot be loaded',
        description: 'In the watched folder, now',
        span: 6,
        alert: 'LoadsFailing',
      },
      'sum(humancast_loader_library_problems)',
      { limits: { bad: 1 } },
    ),
  )
  .withPanel(stat({ title: 'Live pushes', description: 'Connected now', span: 6 }, 'sum(humancast_loader_live_pushes)'))
  .withRow(new RowBuilder('Loading'))
  .withPanel(
    lines(
      {
        title: 'Faster than real time',
        description: 'Seconds of media loaded in a second of loading. Good: 4 and more',
        unit: 'none',
      },
      [
        {
          expr: 'sum by (source) (increase(humancast_loader_media_seconds_total[$__range])) / sum by (source) (increase(humancast_loader_load_seconds_sum[$__range]))',
          legend: '{{source}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Time of a load', description: 'From its start to the published segment (95 %)', unit: 's' },
      [
        {
          expr: 'histogram_quantile(0.95, sum by (source, le) (increase(humancast_loader_load_seconds_bucket[$__range])))',
          legend: '{{source}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'At work', description: 'Uploads in hand, loads being encoded, and what waits' },
      [
        { expr: 'sum(humancast_loader_uploads)', legend: 'uploads in hand' },
        { expr: 'sum(humancast_loader_running_loads)', legend: 'being encoded' },
        { expr: 'sum(humancast_loader_waiting_uploads)', legend: 'uploads waiting' },
        { expr: 'sum(humancast_loader_waiting_library)', legend: 'files waiting' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Failures by code',
        description: 'Of files, uploads and live pushes, in ten minutes',
        alert: 'LoadsFailing',
      },
      [
        { expr: 'sum by (code) (increase(humancast_loader_failures_total[10m])) > 0', legend: '{{code}}' },
        { expr: 'sum by (code) (increase(humancast_loader_live_failures_total[10m])) > 0', legend: 'live: {{code}}' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Written', description: 'Into the media store', unit: 'Bps' },
      [
        {
          expr: 'sum by (kind) (rate(humancast_loader_written_bytes_total[$__rate_interval]))',
          legend: '{{kind}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Live',
        description: 'Frames a second that are encoded as they come, and seconds of media that pushes became',
      },
      [
        { expr: 'sum(rate(humancast_loader_live_frames_total[$__rate_interval]))', legend: 'frames a second' },
        {
          expr: 'sum(rate(humancast_loader_live_media_seconds_total[$__rate_interval]))',
          legend: 'seconds of media a second',
        },
        { expr: 'sum(humancast_loader_live_pushes)', legend: 'pushes' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Live lag',
        description:
          'How far what is ready is behind the time since its push began. Good: under 0.2 s, and level; rising: the encoder, or the producer, is slower than real time',
        unit: 's',
        alert: 'Underruns',
      },
      [0.5, 0.95].map((q) => ({
        expr: `histogram_quantile(${q}, sum by (le) (rate(humancast_loader_live_lag_seconds_bucket[$__rate_interval])))`,
        legend: `${q * 100} %`,
      })),
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('In time'))
  .withPanel(
    lines(
      {
        title: 'Prefetched',
        description: 'The least that any session of a media-sender has in memory ahead of its time',
        unit: 's',
        alert: 'Underruns',
      },
      [{ expr: `humancast_sender_prefetched_seconds{${SENDER}} < +Inf`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Underruns',
        description: 'How often media came late in a minute, and for how long both tracks held. Good: 0',
        alert: 'Underruns',
      },
      [
        { expr: `60 * rate(humancast_sender_holds_total{${SENDER}}[$__rate_interval])`, legend: '{{instance}} times' },
        {
          expr: `60 * rate(humancast_sender_held_seconds_total{${SENDER}}[$__rate_interval])`,
          legend: '{{instance}} seconds',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Frames played out', description: 'A second, each once however many viewers', unit: 'none' },
      [{ expr: `rate(humancast_sender_frames_total{${SENDER}}[$__rate_interval])`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Cache of the media-senders',
        description: 'Share of reads that were served from memory',
        unit: 'percentunit',
      },
      [
        {
          expr: `sum by (instance) (rate(humancast_sender_cache_reads_total{${SENDER}, result="hit"}[$__rate_interval])) / sum by (instance) (rate(humancast_sender_cache_reads_total{${SENDER}}[$__rate_interval]))`,
          legend: '{{instance}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'In memory', description: 'Encoded media that media-senders keep', unit: 'bytes' },
      [{ expr: `humancast_sender_cache_bytes{${SENDER}}`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Evicted from memory', description: 'Parts of segments a second that had to make room', unit: 'ops' },
      [{ expr: `rate(humancast_sender_cache_evictions_total{${SENDER}}[$__rate_interval])`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Media store'))
  .withPanel(
    lines(
      { title: 'Segments', description: 'What segments take up in redis-media, and what they may', unit: 'bytes' },
      [
        { expr: 'max(humancast_loader_store_bytes)', legend: 'segments' },
        { expr: 'max(humancast_loader_store_quota_bytes)', legend: 'quota' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Kept and let go',
        description:
          'Segments in ten minutes: evicted because others needed the room, brought back after redis-media had lost them, and those that could not be archived',
      },
      [
        { expr: 'sum(increase(humancast_loader_evictions_total[10m]))', legend: 'evicted' },
        { expr: 'sum(increase(humancast_loader_restored_total[10m]))', legend: 'restored' },
        { expr: 'sum(increase(humancast_loader_archive_failures_total[10m]))', legend: 'not archived' },
      ],
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Databases'))
  .withPanel(
    lines(
      {
        title: 'Memory',
        description:
          'Of what each may use. Of redis-queue nothing may ever be evicted; redis-media lets uploads go first',
        unit: 'percentunit',
        alert: 'RedisNearMemory',
      },
      [{ expr: 'redis:humancast_redis_memory:ratio', legend: 'redis-{{redis}}' }],
      { min: 0, limits: { warn: 0.8, bad: 0.9 } },
    ),
  )
  .withPanel(
    lines(
      { title: 'Used', description: 'Memory in use, and what may be', unit: 'bytes', alert: 'RedisNearMemory' },
      [
        { expr: 'max by (redis) (humancast_redis_memory_bytes)', legend: 'redis-{{redis}}' },
        { expr: 'max by (redis) (humancast_redis_memory_limit_bytes)', legend: 'redis-{{redis}} limit' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Evicted',
        description: 'Keys a second that had to make room. Of redis-queue always 0',
        unit: 'ops',
        span: 8,
      },
      [
        {
          expr: 'max by (redis) (rate(humancast_redis_evicted_keys_total[$__rate_interval]))',
          legend: 'redis-{{redis}}',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Clients', description: 'Connections; they grow with processes and not with sessions', span: 8 },
      [{ expr: 'max by (redis) (humancast_redis_clients)', legend: 'redis-{{redis}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Answering',
        description:
          'As the signaling processes see it; 0: one gets no answer within a second, or the disk takes no writes',
        span: 8,
        alert: ['RedisDown', 'RedisDiskFull'],
      },
      [
        { expr: 'min by (redis) (humancast_redis_up)', legend: 'redis-{{redis}}' },
        { expr: 'min by (redis) (humancast_redis_disk_ok)', legend: 'redis-{{redis}} disk' },
      ],
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Demo producer'))
  .withPanel(
    lines(
      { title: 'Typed texts', description: 'By what became of them in ten minutes, and those that are being drawn' },
      [
        { expr: 'sum by (outcome) (increase(humancast_say_texts_total[10m]))', legend: '{{outcome}}' },
        { expr: 'sum(humancast_say_speaking)', legend: 'being drawn' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'From text to first frame',
        description: 'Until the first frame is pushed, where nothing was being said. Good: under 0.3 s',
        unit: 's',
      },
      [0.5, 0.95].map((q) => ({
        expr: `histogram_quantile(${q}, sum by (le) (increase(humancast_say_first_frame_seconds_bucket[$__range])))`,
        legend: `${q * 100} %`,
      })),
      { min: 0 },
    ),
  );
