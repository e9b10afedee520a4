import { BANDS, BandPowers } from '../audio/band-powers.js';
import { HEARD_FRAME_MS, HEARD_FRAME_SAMPLES, HEARD_RATE, type HeardFrame } from './audio-receiver.js';
import { EchoGate } from './echo-gate.js';

/** Mean square below which a frame is silent: −56 dBFS. */
const LEAST_POWER = 2700;
/** Frames with speech, less those without, that make an onset: the click of a key is shorter. */
const ONSET_FRAMES = 3;
/** Share of a frame's power that must be neither noise nor echo for it to be speech, at the onset and after it. */
const ONSET_SHARE = 0.4;
const SPEECH_SHARE = 0.3;
/** Time for which an echo may outlast what is played: the room. */
const ROOM_MS = 100;

/** Speech began or ended, at a time on the clock of {@link HeardFrame.atMs}. */
export interface VoiceChange {
  readonly isSpeaking: boolean;
  readonly atMs: number;
}

export interface VoiceActivityOptions {
  readonly classifier: { isSpeech(pcm: Int16Array): boolean };
  /** Silence after which speech has ended, ms. */
  readonly hangoverMs: number;
}

const powers = new BandPowers(HEARD_FRAME_SAMPLES, HEARD_RATE);
const heardBands = new Float64Array(BANDS);

/** Detects when one viewer begins and ceases to speak. The avatar's own voice, if it comes back, is not speech. */
export class VoiceActivity {
  readonly #options: VoiceActivityOptions;
  readonly #gate = new EchoGate();
  #isSpeaking = false;
  /** Frames of an onset so far, and when the first one began. */
  #onsetFrames = 0;
  #onsetMs = 0;
  /** End of the last frame with speech. */
  #spokenMs = 0;
  /** Whether something was played when speech began, and until when its echo may be heard. */
  #mayBeEcho = false;
  #playedMs = Number.NEGATIVE_INFINITY;

  constructor(options: VoiceActivityOptions) {
    this.#options = options;
  }

  get isSpeaking(): boolean {
    return this.#isSpeaking;
  }

  /**
   * @param played Largest power by band of what was played within the possible delays of its echo in this frame: of a window that
   *   never moves backwards.
   * @returns What has changed, if anything.
   */
  heard(frame: HeardFrame, played: Float64Array): VoiceChange | undefined {
    if (frame.gapMs > 0) this.#onsetFrames = 0;
    if (frame.gapMs > 0 || frame.concealed) this.#gate.missed();
    const endMs = frame.atMs + HEARD_FRAME_MS;
    if (played.some((power) => power > 0)) this.#playedMs = endMs;
    // What Opus makes up resembles the frame before.
    if (!frame.concealed && this.#isVoice(frame.pcm, played)) {
      if (this.#onsetFrames === 0) this.#onsetMs = frame.atMs;
      this.#onsetFrames = Math.min(ONSET_FRAMES, this.#onsetFrames + 1);
      this.#spokenMs = endMs;
    } else if (!frame.concealed) this.#onsetFrames = Math.max(0, this.#onsetFrames - 1);
    if (this.#isSpeaking) return this.poll(endMs);
    if (this.#onsetFrames < ONSET_FRAMES) return undefined;
    this.#isSpeaking = true;
    this.#mayBeEcho = this.#playedMs >= this.#onsetMs;
    return { isSpeaking: true, atMs: this.#onsetMs };
  }

  /** Ends speech also when no more frames come. @returns What has changed, if anything. */
  poll(nowMs: number): VoiceChange | undefined {
    if (!this.#isSpeaking || nowMs - this.#spokenMs < this.#options.hangoverMs) return undefined;
    this.#isSpeaking = false;
    this.#onsetFrames = 0;
    if (this.#mayBeEcho && this.#spokenMs <= this.#playedMs + ROOM_MS) this.#gate.doubt();
    return { isSpeaking: false, atMs: this.#spokenMs };
  }

  #isVoice(pcm: Int16Array, played: Float64Array): boolean {
    let power = 0;
    for (let i = 0; i < pcm.length; i++) power += (pcm[i] as number) ** 2;
    if (power < LEAST_POWER * HEARD_FRAME_SAMPLES) {
      heardBands.fill(0);
      this.#gate.learn(heardBands, played, false);
      return false;
    }
    powers.measure(pcm, heardBands);
    const share = this.#gate.unexplained(heardBands, played);
    const isVoice = this.#options.classifier.isSpeech(pcm) && share > (this.#isSpeaking ? SPEECH_SHARE : ONSET_SHARE);
    this.#gate.learn(heardBands, played, isVoice || this.#isSpeaking);
    return isVoice;
  }
}
