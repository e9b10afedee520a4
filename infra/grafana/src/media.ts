import { RowBuilder } from '@grafana/grafana-foundation-sdk/dashboard';
import { dashboard, SENDER, senderVariable } from './dashboard.ts';
import { lines, stat } from './panels.ts';

/** Supply of media, from the file to the media-sender's memory. */
export const media = dashboard('humancast-media', 'Media', 'Loading, live pushes, media store and caches')
  .withVariable(senderVariable())
  .withPanel(
    stat(
      {
        title: 'Prefetched',
        description: 'Least prefetched media of any session',
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
        title: 'Held',
        description: 'Share of time held for late media, of the worst media-sender',
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
        title: 'Unusable files',
        description: 'Files of the watched folder that cannot be loaded',
        span: 6,
        alert: 'LoadsFailing',
      },
      'sum(humancast_loader_library_problems)',
      { limits: { bad: 1 } },
    ),
  )
  .withPanel(stat({ title: 'Live pushes', description: 'Open pushes', span: 6 }, 'sum(humancast_loader_live_pushes)'))
  .withRow(new RowBuilder('Loading'))
  .withPanel(
    lines(
      {
        title: 'Load speed',
        description: 'Relative to real time. Good: 4 and more',
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
      { title: 'Load time', description: 'From the start of a load to the published segment (p95)', unit: 's' },
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
      { title: 'Load queue', description: 'Uploads in progress, running loads, and queued files' },
      [
        { expr: 'sum(humancast_loader_uploads)', legend: 'uploads in progress' },
        { expr: 'sum(humancast_loader_running_loads)', legend: 'being encoded' },
        { expr: 'sum(humancast_loader_waiting_uploads)', legend: 'uploads queued' },
        { expr: 'sum(humancast_loader_waiting_library)', legend: 'files queued' },
        { expr: 'sum(humancast_loader_waiting_ladders)', legend: 'segments without all renditions' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        id: 9,
        title: 'Failures by code',
        description: 'Files, uploads and live pushes, per 10 min',
        alert: 'LoadsFailing',
      },
      [
        { expr: 'sum by (code) (increase(humancast_loader_failures_total[10m])) > 0', legend: '{{code}}' },
        { expr: 'sum by (code) (increase(humancast_loader_live_failures_total[10m])) > 0', legend: 'live: {{code}}' },
        { expr: 'sum(increase(humancast_loader_rendition_failures_total[10m]))', legend: 'further renditions' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Written', description: 'Bytes written to the media store per second', unit: 'Bps' },
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
        description: 'Frames encoded per second, and media produced in seconds per second',
      },
      [
        { expr: 'sum(rate(humancast_loader_live_frames_total[$__rate_interval]))', legend: 'frames per second' },
        {
          expr: 'sum(rate(humancast_loader_live_media_seconds_total[$__rate_interval]))',
          legend: 'seconds of media per second',
        },
        { expr: 'sum(humancast_loader_live_pushes)', legend: 'pushes' },
        {
          expr: 'sum(increase(humancast_loader_live_renditions_dropped_total[10m]))',
          legend: 'renditions left out in 10 min',
        },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Live lag',
        description:
          'Lag of playable media behind the time since the push started. Good: under 0.2 s and level. Rising: the encoder or the producer is slower than real time',
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
  .withRow(new RowBuilder('Playout'))
  .withPanel(
    lines(
      {
        title: 'Prefetched',
        description: 'Least prefetched media of any session, by media-sender',
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
        id: 15,
        title: 'Underruns',
        description: 'Per minute, and time held in seconds per minute. Good: 0',
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
      { title: 'Frames played out', description: 'Per second, counted once per session', unit: 'none' },
      [{ expr: `rate(humancast_sender_frames_total{${SENDER}}[$__rate_interval])`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Cache hits',
        description: 'Share of reads served from the media-senders’ caches',
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
      { title: 'Cache size', description: 'Encoded media in the media-senders’ memory', unit: 'bytes' },
      [{ expr: `humancast_sender_cache_bytes{${SENDER}}`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      { title: 'Cache evictions', description: 'Per second', unit: 'ops' },
      [{ expr: `rate(humancast_sender_cache_evictions_total{${SENDER}}[$__rate_interval])`, legend: '{{instance}}' }],
      { min: 0 },
    ),
  )
  .withRow(new RowBuilder('Media store'))
  .withPanel(
    lines(
      { title: 'Segments', description: 'Size of all segments in redis-media, and their quota', unit: 'bytes' },
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
        title: 'Retention',
        description: 'Segments evicted, restored from the archive, and not archived, per 10 min',
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
        id: 24,
        title: 'Memory',
        description: 'Share of maxmemory. redis-queue never evicts; redis-media evicts uploads first',
        unit: 'percentunit',
        alert: 'RedisNearMemory',
      },
      [{ expr: 'redis:humancast_redis_memory:ratio', legend: 'redis-{{redis}}' }],
      { min: 0, limits: { warn: 0.8, bad: 0.9 } },
    ),
  )
  .withPanel(
    lines(
      { title: 'Used', description: 'Used memory and limit', unit: 'bytes', alert: 'RedisNearMemory' },
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
        description: 'Evicted keys per second; always 0 for redis-queue',
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
      { title: 'Clients', description: 'Connections; proportional to processes, not to sessions', span: 8 },
      [{ expr: 'max by (redis) (humancast_redis_clients)', legend: 'redis-{{redis}}' }],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        id: 28,
        title: 'Up',
        description: 'As seen by signaling; 0: no answer within a second, or writes to disk fail',
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
      { title: 'Typed texts', description: 'By outcome per 10 min, and those being rendered' },
      [
        { expr: 'sum by (outcome) (increase(humancast_say_texts_total[10m]))', legend: '{{outcome}}' },
        { expr: 'sum(humancast_say_speaking)', legend: 'being rendered' },
      ],
      { min: 0 },
    ),
  )
  .withPanel(
    lines(
      {
        title: 'Text to first frame',
        description: 'With an empty queue, until the first frame is pushed. Good: under 0.3 s',
        unit: 's',
      },
      [0.5, 0.95].map((q) => ({
        expr: `histogram_quantile(${q}, sum by (le) (increase(humancast_say_first_frame_seconds_bucket[$__range])))`,
        legend: `${q * 100} %`,
      })),
      { min: 0 },
    ),
  );
