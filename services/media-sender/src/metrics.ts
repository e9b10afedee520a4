import { type FinishReason, type ViewerReport } from '@humancast/protocol';
import { FastHistogram, type HistogramSeries, type Registry, watchCounter, watchGauge } from '@humancast/shared';
import { Counter, Gauge } from 'prom-client';
import { LATE_MS, type PacketCounts } from './hosting/admission.js';
import {
  BARGE_IN_ACTIONS,
  BARGE_IN_OUTCOMES,
  type BargeInAction,
  type BargeInOutcome,
} from './hosting/conversation.js';
import type { WorkerMetrics } from './hosting/session-worker.js';
import type { FollowerMetrics } from './playout/follower-player.js';
import type { PlayoutMetrics } from './playout/session-player.js';
import type { Sending } from './playout/viewer-fanout.js';
import { DATAGRAM_PROBLEMS, type DatagramProblem } from './transport/datagram-problem.js';
import type { TrafficTotals } from './transport/traffic.js';

const LATENESS_BUCKETS = [0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1];
/** Buckets with the thresholds of ITU-R BT.1359, EBU R37 and ATSC IS-191 for lip sync, and finer ones inside. */
export const SKEW_BUCKETS_SECONDS = [
  -0.185, -0.125, -0.09, -0.06, -0.045, -0.04, -0.03, -0.015, -0.01, -0.006, -0.003, 0, 0.003, 0.006, 0.01, 0.015, 0.03,
  0.04, 0.045, 0.06, 0.09, 0.125, 0.185,
];
const DELAY_BUCKETS = [0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2];
const TRIM_BUCKETS = [0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.15];
const FIRST_FRAME_BUCKETS = [0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10];
const ESTIMATE_BUCKETS = [1e5, 2e5, 3.5e5, 5e5, 7.5e5, 1e6, 1.5e6, 2e6, 3e6, 5e6, 1e7];
const INTERRUPT_BUCKETS = [0.005, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.25, 1];

/** Renditions that an avatar can have at most, and so rungs of a ladder. */
const MAX_RUNGS = 4;

const MS = 1e-3;
/** Sample rate of `concealedSamples`: browsers play Opus at its own rate. */
const CONCEALED_RATE = 48_000;
/** Label values for why a session left; any other reason that a caller gave is "other". */
const LEAVE_REASONS = ['deleted', 'no-viewers', 'moved', 'taken-over', 'failed'] as const;

/** State that is read at every scrape. */
export interface SenderState {
  readonly sessions: () => number;
  readonly avatars: () => ReadonlyMap<string, number>;
  readonly viewers: () => number;
  /** Per-viewer rung, rates and repair. */
  readonly sending: () => Iterable<Sending>;
  readonly capacity: number;
  readonly viewerCapacity: number;
  /** Sessions of other hosts that are followed. */
  readonly followed: () => number;
  readonly takesSessions: () => boolean;
  /** Smallest amount of prefetched media among the sessions, ms; `undefined` if none plays. */
  readonly prefetchedMs: () => number | undefined;
  readonly cache: {
    readonly bytes: number;
    readonly hits: number;
    readonly misses: number;
    readonly evictions: number;
  };
  readonly traffic: () => TrafficTotals;
  readonly packetPath: string;
  /** Frames of viewers' voices that were not passed on. */
  readonly voicesDropped: () => number;
}

/** The media-sender's metrics. Those on a packet's path are counted in plain arrays; the others are read at each scrape. */
export class SenderMetrics implements PlayoutMetrics, FollowerMetrics, WorkerMetrics {
  readonly #late: PerTrack;
  readonly #skew: HistogramSeries;
  readonly #interrupted: PerTrack;
  readonly #estimate: HistogramSeries;
  readonly #followerSkew: HistogramSeries;
  readonly #missed: Counter;
  readonly #skipped: Counter;
  readonly #holds: Counter;
  readonly #heldSeconds: Counter;
  readonly #speech: Counter<'reason'>;
  readonly #interrupts: Counter;
  readonly #bargeIns: Counter<'action' | 'outcome'>;
  readonly #taken: Counter<'from'>;
  readonly #left: Counter<'reason'>;
  readonly #ignored: Counter<'reason'>;
  readonly #viewers: ViewerMetrics;

  constructor(registry: Registry, state: SenderState) {
    const counter = counterMaker(registry);
    const perTrack = perTrackMaker(registry);
    const histogram = histogramMaker(registry);
    this.#late = perTrack(
      'humancast_sender_lateness_seconds',
      'Delay of audio packets and video frames past their send deadline',
      LATENESS_BUCKETS,
    );
    this.#skew = histogram(
      'humancast_sender_skew_seconds',
      'Skew of each frame against the audio of the same instant when it was sent; positive: the video is late',
      SKEW_BUCKETS_SECONDS,
    );
    watchCounter(
      registry,
      {
        name: 'humancast_sender_frames_total',
        help: 'Video frames played out, counted once per session regardless of viewers',
      },
      () => this.#skew.count,
    );
    this.#interrupted = perTrack(
      'humancast_sender_interrupt_seconds',
      'Time from accepting an interrupt to the last packet of the old speech (audio) and to the first frame of the new clip (video)',
      INTERRUPT_BUCKETS,
    );
    this.#estimate = histogram(
      'humancast_sender_estimate_bits_per_second',
      'Estimated bandwidth of the path to each viewer, once a second',
      ESTIMATE_BUCKETS,
    );
    this.#followerSkew = histogram(
      'humancast_sender_follower_skew_seconds',
      "Skew of a followed session's timeline against its host's, by the clock of Redis; positive: later than the host",
      SKEW_BUCKETS_SECONDS,
    );
    this.#missed = counter(
      'humancast_sender_decisions_missed_total',
      'Audio packets of followed sessions that were silent because the host had not decided them in time',
    );
    this.#skipped = counter(
      'humancast_sender_skipped_seconds_total',
      'Time skipped because the process was stopped or starved',
    );
    this.#holds = counter('humancast_sender_holds_total', 'Underruns, during which both tracks were held');
    this.#heldSeconds = counter('humancast_sender_held_seconds_total', 'Time both tracks were held for late media');
    this.#speech = counter('humancast_sender_speech_total', 'Queued segments that are done, by outcome', ['reason']);
    for (const reason of ['finished', 'interrupted', 'dropped', 'failed']) this.#speech.inc({ reason }, 0);
    this.#interrupts = counter('humancast_sender_interrupts_total', 'Interrupts, by voice or by request');
    this.#bargeIns = counter(
      'humancast_sender_barge_ins_total',
      'Voices of viewers over speech, by what they did to it and what they were; brief: under 0.3 s, perhaps no word; limited: ignored, too many',
      ['action', 'outcome'],
    );
    for (const action of BARGE_IN_ACTIONS) {
      for (const outcome of BARGE_IN_OUTCOMES) {
        if (action === 'stop' || outcome !== 'limited') this.#bargeIns.inc({ action, outcome }, 0);
      }
    }
    this.#taken = counter(
      'humancast_sender_sessions_taken_total',
      'Sessions started: new ones (nobody), or taken over from another host',
      ['from'],
    );
    for (const from of ['nobody', 'another']) this.#taken.inc({ from }, 0);
    this.#left = counter(
      'humancast_sender_sessions_left_total',
      'Sessions released, by reason; moved: handed over, taken-over: lost to another host',
      ['reason'],
    );
    for (const reason of [...LEAVE_REASONS, 'other']) this.#left.inc({ reason }, 0);
    this.#ignored = counter(
      'humancast_sender_datagrams_dropped_total',
      'Received datagrams that were dropped, by reason; failed: internal error of the reader',
      ['reason'],
    );
    for (const reason of DATAGRAM_PROBLEMS) this.#ignored.inc({ reason }, 0);
    this.#viewers = new ViewerMetrics(registry);
    watchState(registry, state);
  }

  late(track: 'audio' | 'video', lateMs: number): void {
    this.#late[track].observe(lateMs * MS);
  }

  /** Audio packets and video frames sent so far. */
  get packetCounts(): PacketCounts {
    const inTime = LATENESS_BUCKETS.indexOf(LATE_MS * MS);
    const counts = Object.values(this.#late).map(({ cumulative }) => cumulative);
    const packets = counts.reduce((sum, count) => sum + (count.at(-1) ?? 0), 0);
    return { packets, late: packets - counts.reduce((sum, count) => sum + (count[inTime] ?? 0), 0) };
  }

  frameSent(skewMs: number): void {
    this.#skew.observe(skewMs * MS);
  }

  bandwidthEstimated(bps: number): void {
    this.#estimate.observe(bps);
  }

  followed(skewMs: number): void {
    this.#followerSkew.observe(skewMs * MS);
  }

  missed(): void {
    this.#missed.inc();
  }

  skipped(ms: number): void {
    this.#skipped.inc(ms * MS);
  }

  interrupted(track: 'audio' | 'video', afterMs: number): void {
    this.#interrupted[track].observe(afterMs * MS);
  }

  held(ms: number): void {
    this.#holds.inc();
    this.#heldSeconds.inc(ms * MS);
  }

  speechFinished(reason: FinishReason): void {
    this.#speech.inc({ reason });
  }

  interruptAccepted(): void {
    this.#interrupts.inc();
  }

  bargedIn(action: BargeInAction, outcome: BargeInOutcome): void {
    this.#bargeIns.inc({ action, outcome });
  }

  sessionTaken(from: 'nobody' | 'another'): void {
    this.#taken.inc({ from });
  }

  sessionLeft(reason: string): void {
    this.#left.inc({ reason: LEAVE_REASONS.find((known) => known === reason) ?? 'other' });
  }

  viewerReport(report: ViewerReport): void {
    this.#viewers.report(report);
  }

  datagramDropped({ reason }: DatagramProblem): void {
    this.#ignored.inc({ reason });
  }
}

/** Metrics that viewers report about once a second. */
class ViewerMetrics {
  readonly #reports: Counter;
  readonly #skew: HistogramSeries;
  readonly #untrimmedSkew: HistogramSeries;
  readonly #trim: PerTrack;
  readonly #jitter: PerTrack;
  readonly #roundTrip: HistogramSeries;
  readonly #firstFrame: HistogramSeries;
  readonly #freezes: Counter;
  readonly #freezeSeconds: Counter;
  readonly #decoded: Counter;
  readonly #dropped: Counter;
  readonly #concealedSeconds: Counter;
  readonly #lost: Counter;
  readonly #received: Counter;

  constructor(registry: Registry) {
    const counter = counterMaker(registry);
    const perTrack = perTrackMaker(registry);
    const histogram = histogramMaker(registry);
    this.#reports = counter(
      'humancast_viewer_reports_total',
      'Viewer reports received, about one per second and viewer',
    );
    this.#skew = histogram(
      'humancast_viewer_skew_seconds',
      'Lip-sync skew as played by viewers; positive: the video is late',
      SKEW_BUCKETS_SECONDS,
    );
    this.#untrimmedSkew = histogram(
      'humancast_viewer_untrimmed_skew_seconds',
      "Lip-sync skew without the viewer's jitter-buffer trim",
      SKEW_BUCKETS_SECONDS,
    );
    this.#trim = perTrack(
      'humancast_viewer_trim_seconds',
      "Delay that the lip-sync trim adds to a track's jitter buffer",
      TRIM_BUCKETS,
    );
    this.#jitter = perTrack('humancast_viewer_jitter_buffer_seconds', 'Jitter-buffer delay of viewers', DELAY_BUCKETS);
    this.#roundTrip = histogram('humancast_viewer_round_trip_seconds', 'Round-trip time to viewers', DELAY_BUCKETS);
    this.#firstFrame = histogram(
      'humancast_viewer_first_frame_seconds',
      'Time from connecting to the first decoded frame',
      FIRST_FRAME_BUCKETS,
    );
    this.#freezes = counter('humancast_viewer_freezes_total', 'Video freezes seen by viewers');
    this.#freezeSeconds = counter(
      'humancast_viewer_freeze_seconds_total',
      'Time during which the video of viewers was frozen',
    );
    this.#decoded = counter('humancast_viewer_frames_decoded_total', 'Frames decoded by viewers');
    this.#dropped = counter('humancast_viewer_frames_dropped_total', 'Frames that viewers decoded too late to render');
    this.#concealedSeconds = counter('humancast_viewer_concealed_seconds_total', 'Audio concealed by viewers');
    this.#lost = counter('humancast_viewer_packets_lost_total', 'Packets lost on the way to viewers');
    this.#received = counter('humancast_viewer_packets_received_total', 'Packets received by viewers');
  }

  report(report: ViewerReport): void {
    const { skewMs, trimMs, jitterBufferMs, roundTripMs, firstFrameMs } = report;
    this.#reports.inc();
    if (skewMs !== undefined) {
      this.#skew.observe(skewMs * MS);
      // Delaying video raised the skew by this much, and delaying audio lowered it.
      this.#untrimmedSkew.observe((skewMs - (trimMs?.video ?? 0) + (trimMs?.audio ?? 0)) * MS);
    }
    if (trimMs) observePair(this.#trim, trimMs);
    if (jitterBufferMs) observePair(this.#jitter, jitterBufferMs);
    if (roundTripMs !== undefined) this.#roundTrip.observe(roundTripMs * MS);
    if (firstFrameMs !== undefined) this.#firstFrame.observe(firstFrameMs * MS);
    this.#freezes.inc(report.freezes ?? 0);
    this.#freezeSeconds.inc(Math.max(0, report.freezeMs ?? 0) * MS);
    this.#decoded.inc(report.framesDecoded ?? 0);
    this.#dropped.inc(report.framesDropped ?? 0);
    this.#concealedSeconds.inc((report.concealedSamples ?? 0) / CONCEALED_RATE);
    this.#lost.inc(Math.max(0, report.packetsLost ?? 0));
    this.#received.inc(report.packetsReceived ?? 0);
  }
}

type PerTrack = Readonly<Record<'audio' | 'video', HistogramSeries>>;

function observePair(tallies: PerTrack, ms: { audio: number; video: number }): void {
  tallies.audio.observe(ms.audio * MS);
  tallies.video.observe(ms.video * MS);
}

function histogramMaker(registry: Registry) {
  return (name: string, help: string, buckets: readonly number[]): HistogramSeries =>
    new FastHistogram({ name, help, buckets, registry }).series({});
}

function perTrackMaker(registry: Registry) {
  return (name: string, help: string, buckets: readonly number[]): PerTrack => {
    const histogram = new FastHistogram({ name, help, labelNames: ['track'], buckets, registry });
    return { audio: histogram.series({ track: 'audio' }), video: histogram.series({ track: 'video' }) };
  };
}

function counterMaker(registry: Registry) {
  return <L extends string = never>(name: string, help: string, labelNames: readonly L[] = []): Counter<L> =>
    new Counter({ name, help, labelNames, registers: [registry] });
}

function watchState(registry: Registry, state: SenderState): void {
  const { cache } = state;
  const gauge = (suffix: string, help: string, read: () => number) =>
    watchGauge(registry, { name: `humancast_sender_${suffix}`, help }, read);
  gauge('sessions', 'Sessions hosted', state.sessions);
  gauge('viewers', 'Viewers connected', state.viewers);
  gauge('capacity', 'Maximum number of sessions', () => state.capacity);
  gauge('viewer_capacity', 'Maximum number of viewers', () => state.viewerCapacity);
  gauge('followed_sessions', 'Sessions of other hosts that are followed', state.followed);
  gauge('accepting', '1 while the media-sender accepts sessions; 0 while draining, overloaded or without Redis', () =>
    Number(state.takesSessions()),
  );
  gauge(
    'prefetched_seconds',
    'Prefetched media of the session that has the least; +Inf when nothing plays',
    () => (state.prefetchedMs() ?? Number.POSITIVE_INFINITY) * MS,
  );
  gauge('cache_bytes', 'Size of the media cache', () => cache.bytes);
  const packetPath = new Gauge({
    name: 'humancast_sender_packet_path',
    help: '1 for the packet path in use: native (OpenSSL and the kernel called directly) or javascript',
    labelNames: ['path'],
    registers: [registry],
  });
  packetPath.set({ path: state.packetPath }, 1);
  watchRungs(registry, state);
  new Gauge({
    name: 'humancast_sender_avatar_sessions',
    help: 'Sessions hosted, by avatar; at most one series per session',
    labelNames: ['avatar'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [avatar, count] of state.avatars()) this.set({ avatar }, count);
    },
  });
  new Counter({
    name: 'humancast_sender_cache_reads_total',
    help: 'Reads from the media cache, by result; a miss is read from the media store',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      this.reset();
      this.inc({ result: 'hit' }, cache.hits);
      this.inc({ result: 'miss' }, cache.misses);
    },
  });
  const counter = (suffix: string, help: string, read: () => number) =>
    watchCounter(registry, { name: `humancast_sender_${suffix}_total`, help }, read);
  counter('cache_evictions', 'Media cache evictions', () => cache.evictions);
  const { traffic } = state;
  counter('packets', 'RTP packets sent, including retransmissions', () => traffic().packetsSent);
  counter('bytes', 'Bytes of RTP packets sent, before encryption', () => traffic().bytesSent);
  counter('packets_dropped', 'RTP packets dropped: not connected, or rejected by the socket', () => {
    return traffic().packetsDropped;
  });
  counter('retransmissions', 'RTP packets retransmitted', () => traffic().retransmitted);
  counter('retransmitted_bytes', 'Bytes of RTP packets retransmitted, a part of all bytes', () => {
    return traffic().retransmittedBytes;
  });
  counter('nacks', 'Packets requested by NACK (RFC 4585 §6.2.1)', () => traffic().nacks);
  counter('audio_packets', 'Audio packets sent, without retransmissions', () => traffic().audioPackets);
  counter('audio_redundant_packets', 'Earlier audio packets repeated within others (RED, RFC 2198)', () => {
    return traffic().redundantPackets;
  });
  counter('audio_redundancy_bytes', 'Bytes that redundancy (RED) has added to audio packets', () => {
    return traffic().redundancyBytes;
  });
  counter('audio_nacks', 'Audio packets requested by NACK, a part of all NACKs', () => traffic().audioNacks);
  counter('audio_retransmissions', 'Audio packets retransmitted, a part of all retransmissions', () => {
    return traffic().audioRetransmitted;
  });
  counter('microphone_packets', "Audio packets received of viewers' microphones", () => traffic().microphonePackets);
  counter('microphone_lost', "Audio packets of viewers' microphones that never came", () => traffic().microphoneLost);
  counter('microphone_concealed_seconds', "Audio of viewers' microphones made up for lost packets", () => {
    return traffic().microphoneConcealedMs * MS;
  });
  counter('voice_frames_dropped', "Frames of viewers' voices dropped because redis-media was slow or away", () =>
    state.voicesDropped(),
  );
  counter('plis', 'Keyframe requests received (RFC 4585 §6.3.1)', () => traffic().plis);
}

function watchRungs(registry: Registry, { sending }: SenderState): void {
  new Gauge({
    name: 'humancast_sender_rung_viewers',
    help: 'Viewers by the index of the rendition sent to them in the ladder of its codec; 0 is the largest',
    labelNames: ['rung'],
    registers: [registry],
    collect() {
      for (let rung = 0; rung < MAX_RUNGS; rung++) this.set({ rung }, 0);
      for (const { rung } of sending()) this.inc({ rung });
    },
  });
  watchGauge(
    registry,
    {
      name: 'humancast_sender_lowest_rung_viewers',
      help: 'Viewers to whom the smallest of several renditions is sent, because their path carries no more',
    },
    () => [...sending()].filter(({ rung, rungs }) => rungs > 1 && rung === rungs - 1).length,
  );
}
