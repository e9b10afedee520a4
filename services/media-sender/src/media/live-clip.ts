import type { Codec, Rational, Rendition, TextCue } from '@humancast/protocol';
import {
  CLOCK_PER_PCM,
  CLOCK_RATE,
  durationSamplesOf,
  type LivePart,
  type LiveReader,
  PCM_CHUNK_SAMPLES,
  type SegmentManifest,
  steadyRenditions,
} from '@humancast/shared';
import { type Availability, type Clip, rungAt } from '../playout/clip.js';
import { frameAtOrAfter, frameOffsetSamples } from '../playout/timeline.js';
import type { Packetizer } from '../rtp/packetize.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { LiveReserve, type LiveReserveOptions } from './live-reserve.js';
import { LiveTail } from './live-tail.js';
import { toSamples } from './media-cache.js';
import { SegmentClip, type SegmentClipOptions } from './segment-clip.js';

/** The writer sends a heartbeat every second. Without one for this long, ms, the segment ends at what has arrived. */
const STALE_MS = 5000;
/** Media beyond the prefetch length that may stay in memory before it is left to the media store. */
const SPILL_SAMPLES = 2 * CLOCK_RATE;

export interface LiveClipOptions extends SegmentClipOptions, LiveReserveOptions {
  reader: LiveReader;
  packetizerOf: (codec: Codec) => Packetizer;
}

/**
 * An open segment as a clip, which has no end until the segment is closed. New media stays in memory as it arrives. If the
 * segment grows faster than it is played, it is played from the media store until playback reaches the part in memory.
 */
export class LiveClip implements Clip {
  readonly #manifest: SegmentManifest;
  readonly #options: LiveClipOptions;
  readonly #tail: LiveTail;
  readonly #stored: SegmentClip;
  /** Keyed by rendition. */
  readonly #packetizers: readonly Packetizer[];
  readonly #unfollow: () => void;
  readonly #reserve: LiveReserve;
  readonly #text: TextCue[];
  #positionSamples = 0;
  /** Whether it plays or could play; otherwise it waits until enough has arrived. */
  #flowing = false;
  #final: Pick<SegmentManifest, 'frames' | 'durationSamples'> | undefined;
  #heardMs: number;

  /** @param manifest That of an open segment. */
  constructor(manifest: SegmentManifest, options: LiveClipOptions) {
    this.#manifest = manifest;
    this.#options = options;
    this.#tail = new LiveTail(manifest.renditions.length, steadyRenditions(manifest.renditions), manifest.gopFrames);
    this.#stored = new SegmentClip(manifest, options);
    this.#packetizers = manifest.renditions.map(({ codec }) => options.packetizerOf(codec));
    this.#heardMs = options.nowMs();
    this.#reserve = new LiveReserve(options);
    this.#text = [...(manifest.text ?? [])];
    this.#unfollow = options.reader.follow(manifest.id, ({ part }) => this.#take(part));
  }

  get segment(): string {
    return this.#manifest.id;
  }
  get role(): 'idle' | 'speech' {
    return this.#manifest.role;
  }
  get fps(): Rational {
    return this.#manifest.fps;
  }
  get frames(): number {
    return this.#final?.frames ?? this.#tail.endFrame;
  }
  get durationSamples(): number {
    return this.#final?.durationSamples ?? Number.POSITIVE_INFINITY;
  }
  get gopFrames(): number {
    return this.#manifest.gopFrames;
  }
  get markFrames(): readonly number[] {
    return this.#manifest.markFrames;
  }

  get text(): readonly TextCue[] {
    return this.#text;
  }

  availability(fromSamples: number, toSamples: number): Availability {
    this.#endWhenStale();
    if (this.#final?.frames === 0) return 'gone';
    const wasFlowing = this.#flowing;
    const required = wasFlowing ? toSamples : Math.max(toSamples, fromSamples + this.#reserve.requiredSamples);
    this.#flowing = this.#final !== undefined || this.#hasCome(required);
    if (wasFlowing && !this.#flowing) this.#reserve.ranOut(fromSamples);
    if (!this.#flowing) return 'late';
    return this.#isInTail(fromSamples) ? 'ready' : this.#stored.availability(fromSamples, toSamples);
  }

  readPcm(fromSamples: number, out: Int16Array, at: number, count: number): void {
    const fromStored = Math.min(count, Math.max(0, this.#tail.firstSample - fromSamples / CLOCK_PER_PCM));
    if (fromStored > 0) this.#stored.readPcm(fromSamples, out, at, fromStored);
    this.#tail.readPcm(fromSamples / CLOCK_PER_PCM + fromStored, out.subarray(at + fromStored, at + count));
  }

  rungs(codec: Codec): readonly Rendition[] {
    return this.#stored.rungs(codec);
  }

  frame(codec: Codec, frame: number, rung = 0): PacketizedFrame | undefined {
    if (frame < this.#tail.firstFrame) return this.#stored.frame(codec, frame, rung);
    const rendition = rungAt(this.rungs(codec), rung);
    return rendition && this.#tail.frame(this.#manifest.renditions.indexOf(rendition), frame);
  }

  readySamples(fromSamples: number): number {
    if (!this.#isInTail(fromSamples)) return this.#stored.readySamples(fromSamples);
    return Math.max(0, Math.min(this.#comeSamples, this.durationSamples) - fromSamples);
  }

  follow(positionSamples: number): void {
    this.#positionSamples = positionSamples;
    this.#reserve.played(positionSamples);
    if (this.#isInTail(positionSamples)) {
      // The GOP before is kept, because keyframe requests are answered from its keyframe.
      const showing = frameAtOrAfter(positionSamples, this.fps) - 1;
      this.#tail.drop(Math.max(0, showing - this.gopFrames), positionSamples / CLOCK_PER_PCM);
    } else {
      this.#stored.follow(positionSamples);
    }
    this.#spill();
  }

  release(): void {
    this.#unfollow();
    this.#stored.release();
  }

  #take(part: LivePart): void {
    this.#heardMs = this.#options.nowMs();
    const comeSamples = this.#comeSamples;
    switch (part.kind) {
      case 'frame': {
        const packetize = this.#packetizers[part.rendition];
        if (!packetize) return;
        this.#tail.addFrame(part.rendition, part.frame, packetize(part.data, part.keyframe));
        break;
      }
      case 'audio':
        this.#tail.addSound(part.sample, toSamples(part.pcm));
        break;
      case 'end':
        this.#final ??= part.manifest;
        break;
      case 'text':
        // The manifest may have had it already.
        if (part.number === this.#text.length) this.#text.push(part.cue);
        break;
      case 'alive':
        break;
    }
    if (this.#comeSamples > comeSamples) this.#reserve.arrived();
    this.#growStored();
    this.#spill();
    this.#options.onLoaded?.();
  }

  /** @returns Whether both tracks are complete up to a position. */
  #hasCome(toSamples: number): boolean {
    return (
      this.#tail.endSample * CLOCK_PER_PCM >= toSamples && this.#tail.endFrame >= frameAtOrAfter(toSamples, this.fps)
    );
  }

  get #comeSamples(): number {
    return Math.min(this.#tail.endSample * CLOCK_PER_PCM, frameOffsetSamples(this.#tail.endFrame, this.fps));
  }

  /** Includes the frame that is shown at that position. */
  #isInTail(fromSamples: number): boolean {
    const showing = Math.max(0, frameAtOrAfter(fromSamples, this.fps) - 1);
    return showing >= this.#tail.firstFrame && fromSamples / CLOCK_PER_PCM >= this.#tail.firstSample;
  }

  /** Far ahead of playback, the middle is left to the media store once the next part has been read from there. */
  #spill(): void {
    const { prefetchSamples } = this.#options;
    if (this.#comeSamples - this.#positionSamples < prefetchSamples + SPILL_SAMPLES) return;
    // Later media has arrived, so this part is stored.
    const frame = this.#tail.endFrame - 1 - ((this.#tail.endFrame - 1) % this.gopFrames);
    const sample = this.#tail.endSample - 1 - ((this.#tail.endSample - 1) % PCM_CHUNK_SAMPLES);
    if (frame <= this.#tail.firstFrame && sample <= this.#tail.firstSample) return;
    this.#growStored(frame, sample);
    this.#stored.follow(this.#positionSamples);
    const ahead = this.#positionSamples + prefetchSamples;
    if (this.#stored.availability(this.#positionSamples, ahead) === 'ready') this.#tail.drop(frame, sample);
  }

  /** Updates the stored part, which ends where the part in memory begins. */
  #growStored(frames = this.#tail.firstFrame, pcmSamples = this.#tail.firstSample): void {
    const durationSamples = durationSamplesOf(frames, this.fps, pcmSamples);
    this.#stored.grow({ ...this.#manifest, frames, pcmSamples, durationSamples });
  }

  #endWhenStale(): void {
    if (this.#final || this.#options.nowMs() - this.#heardMs < STALE_MS) return;
    const frames = this.#tail.endFrame;
    this.#final = { frames, durationSamples: durationSamplesOf(frames, this.fps, this.#tail.endSample) };
    this.#options.onLost?.('its end: nothing was heard of its writer');
  }
}
