import { BandwidthEstimator } from '../src/congestion/bandwidth-estimator.js';
import { BLOCK_PCM } from '../src/playout/playout.js';
import type { PlayoutSink } from '../src/playout/viewer-fanout.js';
import type { AudioPacket } from '../src/rtp/audio-packet.js';
import type { PacketizedFrame } from '../src/rtp/packetized-frame.js';
import { RepairBudget } from '../src/rtp/repair-budget.js';
import type { FakeTime } from './fakes.js';

/** PCM samples by which {@link DelayEncoder} delays. */
const LOOKAHEAD_PCM = 156;

interface HeardPacket {
  atMs: number;
  ticks: number;
  /** The decoded PCM; the encoder's delay is over, so it starts at the packet's own time. */
  heard: Int16Array;
}

/** A viewer that records what it is sent, and when. */
export class Receiver implements PlayoutSink {
  readonly packets: AudioPacket[] = [];
  readonly audio: HeardPacket[] = [];
  readonly video: { atMs: number; ticks: number; frame: PacketizedFrame; from: number; to: number }[] = [];
  readonly reports: { atMs: number; ntp: bigint; videoTicks: number; audioTicks: number }[] = [];
  readonly repairs = new RepairBudget();
  readonly bandwidth = new BandwidthEstimator();
  readonly audioBps = 70_000;
  roundTripMs: number | undefined;
  readonly #time: FakeTime;
  readonly #maySend: () => boolean;

  constructor(time: FakeTime, maySend: () => boolean) {
    this.#time = time;
    this.#maySend = maySend;
  }

  sendAudio(packet: AudioPacket): boolean {
    if (!this.#maySend()) return false;
    const { opus, ticks } = packet;
    this.packets.push(packet);
    this.audio.push({ atMs: this.#time.now, ticks, heard: new Int16Array(new Uint8Array(opus).buffer) });
    return true;
  }

  sendVideo(frame: PacketizedFrame, ticks: number, from = 0, to = frame.payloads.length): number {
    let sent = 0;
    while (from + sent < to && this.#maySend()) sent++;
    if (sent > 0) this.video.push({ atMs: this.#time.now, ticks, frame, from, to: from + sent });
    return sent;
  }

  forgetVideo(): void {}

  sendPadding(): number {
    return 0;
  }

  sendReports(ntp: bigint, videoTicks: number, audioTicks: number): void {
    this.reports.push({ atMs: this.#time.now, ntp, videoTicks, audioTicks });
  }

  /** @returns The NTP time of an RTP timestamp in seconds, as a receiver computes it from a sender report. */
  ntpSeconds(track: 'audio' | 'video', ticks: number): number {
    const report = this.reports[0];
    if (!report) throw new Error('no sender report');
    const rate = track === 'audio' ? 48_000 : 90_000;
    const reported = track === 'audio' ? report.audioTicks : report.videoTicks;
    return Number(report.ntp & 0xffff_ffff_ffffn) / 2 ** 32 + (ticks - reported) / rate;
  }
}

/** An encoder without Opus: it delays its input by the look-ahead. */
export class DelayEncoder {
  readonly lookaheadSamples = 2 * LOOKAHEAD_PCM;
  #carry: Int16Array = new Int16Array(LOOKAHEAD_PCM);

  encode(pcm: Int16Array): Buffer {
    const delayed = new Int16Array(BLOCK_PCM);
    delayed.set(this.#carry);
    delayed.set(pcm.subarray(0, BLOCK_PCM - LOOKAHEAD_PCM), LOOKAHEAD_PCM);
    this.#carry = pcm.slice(BLOCK_PCM - LOOKAHEAD_PCM);
    return Buffer.from(delayed.buffer);
  }
}
