import { BANDS } from '../audio/band-powers.js';
import { HEARD_FRAME_MS, type HeardFrame } from '../receive/audio-receiver.js';
import { VoiceActivity, type VoiceActivityOptions } from '../receive/voice-activity.js';
import { TokenBucket } from '../transport/token-bucket.js';
import { USUAL_BUFFER_MS, type ViewerDelays } from './session-voices.js';

/** Delay of an echo beyond the network's and the jitter buffer's: devices and the room, ms. */
const ECHO_MS = 350;
/** Interval at which it is checked whether a viewer that sends nothing has ceased to speak, ms. */
const POLL_MS = 100;
/** Onsets of all viewers of a session; one viewer has at most one in the hangover and 60 ms. Further ones are ignored. */
const ONSET_RATE = { perSecond: 20, burst: 100 };

export interface SessionSpeakersOptions {
  readonly createClassifier: () => VoiceActivityOptions['classifier'] & { free(): void };
  readonly hangoverMs: number;
  /** Writes the largest power of each band that was played between two instants, monotonic ms. */
  readonly loudest: (fromMs: number, toMs: number, out: Float64Array) => void;
  /** Called when a viewer begins or ceases to speak. @param atMs As of {@link HeardFrame.atMs}. */
  readonly onChange: (viewer: string, isSpeaking: boolean, atMs: number, delays: ViewerDelays) => void;
  readonly nowMs: () => number;
}

interface Speaker {
  readonly activity: VoiceActivity;
  readonly classifier: { free(): void };
  delays: ViewerDelays;
  /** Between which instants the echo in the last frame was played, monotonic ms. They never go back, whatever the delays do. */
  playedFromMs: number;
  playedToMs: number;
}

/** Knows which of a session's viewers speak. */
export class SessionSpeakers {
  readonly #options: SessionSpeakersOptions;
  readonly #speakers = new Map<string, Speaker>();
  readonly #speaking = new Set<string>();
  readonly #onsets: TokenBucket;
  readonly #played = new Float64Array(BANDS);
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SessionSpeakersOptions) {
    this.#options = options;
    this.#onsets = new TokenBucket(ONSET_RATE, options.nowMs);
  }

  /** Whether any viewer speaks. */
  get isSpeaking(): boolean {
    return this.#speaking.size > 0;
  }

  heard(viewer: string, frame: HeardFrame, delays: ViewerDelays): void {
    const speaker = this.#speakers.get(viewer) ?? this.#add(viewer, delays);
    speaker.delays = delays;
    const { roundTripMs = 0, bufferMs = USUAL_BUFFER_MS } = delays;
    const latestMs = frame.atMs - roundTripMs;
    speaker.playedFromMs = Math.max(speaker.playedFromMs, latestMs - bufferMs - ECHO_MS);
    speaker.playedToMs = Math.max(speaker.playedToMs, latestMs + HEARD_FRAME_MS);
    this.#options.loudest(speaker.playedFromMs, speaker.playedToMs, this.#played);
    const change = speaker.activity.heard(frame, this.#played);
    if (change) this.#changed(viewer, change.isSpeaking, change.atMs, delays);
  }

  /** Ends the speech of viewers that send nothing any more. */
  poll(): void {
    const nowMs = this.#options.nowMs();
    for (const viewer of [...this.#speaking]) {
      const speaker = this.#speakers.get(viewer);
      // Frames come late by the network's jitter, and must be counted first.
      const change = speaker?.activity.poll(nowMs - 2 * POLL_MS);
      if (change) this.#changed(viewer, change.isSpeaking, change.atMs, speaker?.delays as ViewerDelays);
    }
  }

  /** Forgets a viewer that has left; its speech has ended. */
  forget(viewer: string): void {
    const speaker = this.#speakers.get(viewer);
    if (!speaker) return;
    this.#speakers.delete(viewer);
    speaker.classifier.free();
    if (this.#speaking.has(viewer)) this.#changed(viewer, false, this.#options.nowMs(), speaker.delays);
  }

  #add(viewer: string, delays: ViewerDelays): Speaker {
    const { createClassifier, hangoverMs } = this.#options;
    const classifier = createClassifier();
    const speaker = {
      activity: new VoiceActivity({ classifier, hangoverMs }),
      classifier,
      delays,
      playedFromMs: Number.NEGATIVE_INFINITY,
      playedToMs: Number.NEGATIVE_INFINITY,
    };
    this.#speakers.set(viewer, speaker);
    return speaker;
  }

  #changed(viewer: string, isSpeaking: boolean, atMs: number, delays: ViewerDelays): void {
    if (isSpeaking) {
      if (!this.#onsets.take()) return;
      this.#speaking.add(viewer);
    } else if (!this.#speaking.delete(viewer)) return;
    if (this.isSpeaking) this.#timer ??= setInterval(() => this.poll(), POLL_MS);
    else {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    this.#options.onChange(viewer, isSpeaking, atMs, delays);
  }
}
