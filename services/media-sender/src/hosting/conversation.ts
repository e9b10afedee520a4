import type { BargeIn, SessionEventBody } from '@humancast/protocol';
import type { SessionPlayer } from '../playout/session-player.js';
import type { HeardFrame } from '../receive/audio-receiver.js';
import { SessionSpeakers, type SessionSpeakersOptions } from './session-speakers.js';
import type { SessionVoices, ViewerDelays } from './session-voices.js';

/** Loudness of the avatar's voice while it is ducked: −17 dB. */
const DUCKED_GAIN = 0.14;
/** Ramps of the gain: quick enough not to talk over the viewer, and slow enough not to pump. */
const DUCK_MS = 60;
const UNDUCK_MS = 400;
/** Maximum time for which the avatar thinks about an answer that does not come, ms. */
const ANSWER_MS = 30_000;

/** The idle states that are shown by themselves. */
export type ConversationState = 'listening' | 'thinking';

export interface ConversationOptions extends Pick<SessionSpeakersOptions, 'createClassifier' | 'hangoverMs' | 'nowMs'> {
  readonly bargeIn: BargeIn;
  readonly player: Pick<SessionPlayer, 'hasSpeech' | 'loudest' | 'setGain'>;
  readonly voices: Pick<SessionVoices, 'stamp'>;
  readonly emit: (body: SessionEventBody) => void;
  /** Interrupts the speech because this viewer speaks. */
  readonly interrupt: (viewer: string) => void;
  /** Called when {@link Conversation.state} has changed. */
  readonly onState: () => void;
}

/** Reacts when viewers speak: notifies producers, ducks or stops the session's own voice, and shows that it listens. */
export class Conversation {
  readonly #options: ConversationOptions;
  readonly #speakers: SessionSpeakers;
  /** Runs while an answer is awaited. */
  #answerTimer: NodeJS.Timeout | undefined;

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#speakers = new SessionSpeakers({
      createClassifier: options.createClassifier,
      hangoverMs: options.hangoverMs,
      nowMs: options.nowMs,
      loudest: (fromMs, toMs, out) => options.player.loudest(fromMs, toMs, out),
      onChange: (viewer, isSpeaking, atMs, delays) =>
        isSpeaking ? this.#began(viewer, atMs, delays) : this.#ended(viewer, atMs, delays),
    });
  }

  /** `listening` while a viewer speaks, `thinking` from then on until the answer. */
  get state(): ConversationState | undefined {
    if (this.#speakers.isSpeaking) return 'listening';
    return this.#answerTimer ? 'thinking' : undefined;
  }

  heard(viewer: string, frame: HeardFrame, delays: ViewerDelays): void {
    this.#speakers.heard(viewer, frame, delays);
  }

  /** Forgets a viewer that has left. */
  forget(viewer: string): void {
    this.#speakers.forget(viewer);
  }

  /** The avatar has begun to speak. */
  answered(): void {
    if (!this.#answerTimer) return;
    this.#stopWaiting();
    this.#options.onState();
  }

  close(): void {
    this.#stopWaiting();
  }

  #began(viewer: string, atMs: number, delays: ViewerDelays): void {
    const { bargeIn, player, interrupt, onState } = this.#options;
    if (bargeIn === 'stop' && player.hasSpeech) interrupt(viewer);
    else if (bargeIn === 'duck') player.setGain(DUCKED_GAIN, DUCK_MS);
    this.#stopWaiting();
    this.#tell('viewer.speaking', viewer, atMs, delays);
    onState();
  }

  #ended(viewer: string, atMs: number, delays: ViewerDelays): void {
    const { player, onState } = this.#options;
    this.#tell('viewer.silent', viewer, atMs, delays);
    if (this.#speakers.isSpeaking) return;
    player.setGain(1, UNDUCK_MS);
    // A remark during the speech has no answer of its own.
    if (!player.hasSpeech) this.#answerTimer = setTimeout(() => this.answered(), ANSWER_MS);
    onState();
  }

  #tell(type: 'viewer.speaking' | 'viewer.silent', viewer: string, atMs: number, delays: ViewerDelays): void {
    const { emit, voices } = this.#options;
    const { atMs: saidAtMs, playing } = voices.stamp(atMs, delays);
    emit({ type, viewer, saidAtMs, ...(playing && { playing }) });
  }

  #stopWaiting(): void {
    clearTimeout(this.#answerTimer);
    this.#answerTimer = undefined;
  }
}
