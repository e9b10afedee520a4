import type { FinishReason, Registry, ViewerReport } from '@humancast/shared';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { HostMetrics } from './hosting/session-host.js';
import type { PlayoutMetrics } from './playout/session-player.js';

const LATENESS_BUCKETS = [0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1];
/**
 * Thresholds of ITU-R BT.1359, EBU R37 and ATSC IS-191 for picture against sound, and finer ones inside; seconds.
 */
const SKEW_BUCKETS = [
  -0.185, -0.125, -0.09, -0.06, -0.045, -0.04, -0.03, -0.015, -0.01, -0.006, -0.003, 0, 0.003, 0.006, 0.01, 0.015, 0.03,
  0.04, 0.045, 0.06, 0.09, 0.125, 0.185,
];
const DELAY_BUCKETS = [0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2];

const MS = 1e-3;

/** The media-sender's metrics. What lies on a packet's path is resolved to its child once, here. */
export class SenderMetrics implements PlayoutMetrics, HostMetrics {
  readonly #lateAudio;
  readonly #lateVideo;
  readonly #frames;
  readonly #skipped;
  readonly #holds;
  readonly #heldSeconds;
  readonly #speech;
  readonly #interrupts;
  readonly #skew;
  readonly #jitterAudio;
  readonly #jitterVideo;
  readonly #freezes;
  readonly #freezeSeconds;
  readonly #lost;
  readonly #received;
  readonly #roundTrip;
  readonly #firstFrame;

  constructor(
    registry: Registry,
    state: { sessions: () => number; viewers: () => number; capacity: number; cacheBytes: () => number },
  ) {
    const registers = [registry];
    const lateness = new Histogram({
      name: 'humancast_sender_lateness_seconds',
      help: 'How long after its deadline a packet or frame was sent',
      labelNames: ['track'],
      buckets: LATENESS_BUCKETS,
      registers,
    });
    this.#lateAudio = lateness.labels('audio');
    this.#lateVideo = lateness.labels('video');
    this.#frames = new Counter({
      name: 'humancast_sender_frames_total',
      help: 'Video frames played out, each once however many viewers',
      registers,
    });
    this.#skipped = new Counter({
      name: 'humancast_sender_skipped_seconds_total',
      help: 'Time in which the process could not play (it was stopped or starved)',
      registers,
    });
    this.#holds = new Counter({
      name: 'humancast_sender_holds_total',
      help: 'Underruns: media came late and both tracks held',
      registers,
    });
    this.#heldSeconds = new Counter({
      name: 'humancast_sender_held_seconds_total',
      help: 'Time both tracks held for late media',
      registers,
    });
    this.#speech = new Counter({
      name: 'humancast_sender_speech_total',
      help: 'Queued segments that are over, by how',
      labelNames: ['reason'],
      registers,
    });
    this.#interrupts = new Counter({ name: 'humancast_sender_interrupts_total', help: 'Barge-ins', registers });
    gauge('humancast_sender_sessions', 'Sessions hosted', state.sessions);
    gauge('humancast_sender_viewers', 'Viewers connected', state.viewers);
    gauge('humancast_sender_capacity', 'Sessions this media-sender takes at most', () => state.capacity);
    gauge('humancast_sender_cache_bytes', 'Encoded media in memory', state.cacheBytes);
    this.#skew = new Histogram({
      name: 'humancast_viewer_skew_seconds',
      help: 'Picture against voice as viewers play them; positive: the picture is late',
      buckets: SKEW_BUCKETS,
      registers,
    });
    const jitter = new Histogram({
      name: 'humancast_viewer_jitter_buffer_seconds',
      help: 'Delay of viewers’ jitter buffers',
      labelNames: ['track'],
      buckets: DELAY_BUCKETS,
      registers,
    });
    this.#jitterAudio = jitter.labels('audio');
    this.#jitterVideo = jitter.labels('video');
    this.#freezes = new Counter({
      name: 'humancast_viewer_freezes_total',
      help: 'Freezes of the picture that viewers saw',
      registers,
    });
    this.#freezeSeconds = new Counter({
      name: 'humancast_viewer_freeze_seconds_total',
      help: 'Time viewers’ pictures were frozen',
      registers,
    });
    this.#lost = new Counter({
      name: 'humancast_viewer_packets_lost_total',
      help: 'Packets lost on the way to viewers',
      registers,
    });
    this.#received = new Counter({
      name: 'humancast_viewer_packets_received_total',
      help: 'Packets that viewers got',
      registers,
    });
    this.#roundTrip = new Histogram({
      name: 'humancast_viewer_round_trip_seconds',
      help: 'Round trip to viewers',
      buckets: DELAY_BUCKETS,
      registers,
    });
    this.#firstFrame = new Histogram({
      name: 'humancast_viewer_first_frame_seconds',
      help: 'From connect to the first decoded frame',
      buckets: [0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10],
      registers,
    });

    function gauge(name: string, help: string, read: () => number): void {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    }
  }

  late(track: 'audio' | 'video', lateMs: number): void {
    (track === 'audio' ? this.#lateAudio : this.#lateVideo).observe(lateMs * MS);
  }

  frameSent(): void {
    this.#frames.inc();
  }

  skipped(ms: number): void {
    this.#skipped.inc(ms * MS);
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

  viewerReport(report: ViewerReport): void {
    if (report.skewMs !== undefined) this.#skew.observe(report.skewMs * MS);
    if (report.jitterBufferMs) {
      this.#jitterAudio.observe(report.jitterBufferMs.audio * MS);
      this.#jitterVideo.observe(report.jitterBufferMs.video * MS);
    }
    this.#freezes.inc(report.freezes ?? 0);
    this.#freezeSeconds.inc(Math.max(0, report.freezeMs ?? 0) * MS);
    this.#lost.inc(Math.max(0, report.packetsLost ?? 0));
    this.#received.inc(report.packetsReceived ?? 0);
    if (report.roundTripMs !== undefined) this.#roundTrip.observe(report.roundTripMs * MS);
    if (report.firstFrameMs !== undefined) this.#firstFrame.observe(report.firstFrameMs * MS);
  }
}
