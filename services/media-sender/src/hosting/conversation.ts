import type { BargeIn, SessionEventBody } from '@humancast/protocol';
import type { SessionPlayer } from '../playout/session-player.js';
import type { HeardFrame } from '../receive/audio-receiver.js';
import { BargeInLimit } from './barge-in-limit.js';
import { SessionSpeakers, type SessionSpeakersOptions } from './session-speakers.js';
import type { SessionVoices, ViewerDelays } from './session-voices.js';

/** Loudness of the avatar's voice while it is ducked: −17 dB. */
const DUCKED_GAIN = 0.14;
/** Ramps of the gain: quick enough not to talk over the viewer, and slow enough not to pump. */
const DUCK_MS = 60;
const UNDUCK_MS = 400;
/** Time after which the avatar's voice comes back although somebody still speaks: that may be noise that never ends. */
const MOST_DUCKED_MS = 30_000;
/** A voice that was shorter was hardly a word. */
const BRIEF_MS = 300;
/** Maximum time for which the avatar thinks about an answer that does not come, ms. */
const ANSWER_MS = 30_000;

/** The idle states that are shown by themselves. */
export type ConversationState = 'listening' | 'thinking';

/** What a voice did to speech, and what it turned out to be; `limited`: nothing, because the viewer did it too often. */
export const BARGE_IN_ACTIONS = ['duck', 'stop'] as const;
export const BARGE_IN_OUTCOMES = ['confirmed', 'brief', 'limited'] as const;
export type BargeInAction = (typeof BARGE_IN_ACTIONS)[number];
export type BargeInOutcome = (typeof BARGE_IN_OUTCOMES)[number];

export interface ConversationOptions extends Pick<SessionSpeakersOptions, 'createClassifier' | 'hangoverMs' | 'nowMs'> {
  readonly bargeIn: BargeIn;
  /** For how long viewers have waited for an answer, ms, if they wait for one. */
  readonly awaitedMs: number | undefined;
  /** How often one viewer's voice may stop the speech. */
  readonly bargeInsPerMinute: number;
  readonly player: Pick<SessionPlayer, 'hasSpeech' | 'loudest' | 'setGain'>;
  readonly voices: Pick<SessionVoices, 'stamp'>;
  readonly emit: (body: SessionEventBody) => void;
  /** Interrupts the speech because this viewer speaks. */
  readonly interrupt: (viewer: string) => void;
  /** Called once for each voice over speech, when the voice has ended or was ignored. */
  readonly onBargeIn: (action: BargeInAction, outcome: BargeInOutcome) => void;
  /** Called when {@link Conversation.state} has changed. */
  readonly onState: () => void;
}

/** Reacts when viewers speak: notifies producers, ducks or stops the session's own voice, and shows that it listens. */
export class Conversation {
  readonly #options: ConversationOptions;
  readonly #speakers: SessionSpeakers;
  readonly #limit: BargeInLimit;
  /** When voices began that have ducked or stopped speech, by viewer. */
  readonly #bargeIns = new Map<string, number>();
  #duckTimer: NodeJS.Timeout | undefined;
  /** Runs while an answer is awaited. */
  #answerTimer: NodeJS.Timeout | undefined;
  #awaitedSinceMs = 0;

  constructor(options: ConversationOptions) {
    this.#options = options;
    this.#limit = new BargeInLimit(options.bargeInsPerMinute, options.nowMs);
    this.#speakers = new SessionSpeakers({
      createClassifier: options.createClassifier,
      hangoverMs: options.hangoverMs,
      nowMs: options.nowMs,
      loudest: (fromMs, toMs, out) => options.player.loudest(fromMs, toMs, out),
      onChange: (viewer, isSpeaking, atMs, delays) =>
        isSpeaking ? this.#began(viewer, atMs, delays) : this.#ended(viewer, atMs, delays),
    });
    if (options.awaitedMs !== undefined && options.awaitedMs < ANSWER_MS) this.#awaitAnswer(options.awaitedMs);
  }

  /** `listening` while a viewer speaks, `thinking` from then on until the answer. */
  get state(): ConversationState | undefined {
    if (this.#speakers.isSpeaking) return 'listening';
    return this.#answerTimer ? 'thinking' : undefined;
  }

  /** For how long viewers have waited for an answer, ms, for the next host, at which those who speak now are silent at first. */
  get awaitedMs(): number | undefined {
    const { nowMs, player } = this.#options;
    if (this.#speakers.isSpeaking) return player.hasSpeech ? undefined : 0;
    return this.#answerTimer && nowMs() - this.#awaitedSinceMs;
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
    clearTimeout(this.#duckTimer);
  }

  #began(viewer: string, atMs: number, delays: ViewerDelays): void {
    const { bargeIn } = this.#options;
    if (bargeIn === 'stop') this.#stop(viewer, atMs);
    else if (bargeIn === 'duck') this.#duck(viewer, atMs);
    this.#stopWaiting();
    this.#tell('viewer.speaking', viewer, atMs, delays);
    this.#options.onState();
  }

  #stop(viewer: string, atMs: number): void {
    const { player, interrupt, onBargeIn } = this.#options;
    if (!player.hasSpeech) return;
    if (!this.#limit.take(viewer)) {
      onBargeIn('stop', 'limited');
      return;
    }
    this.#bargeIns.set(viewer, atMs);
    interrupt(viewer);
  }

  #duck(viewer: string, atMs: number): void {
    const { player } = this.#options;
    if (player.hasSpeech) this.#bargeIns.set(viewer, atMs);
    player.setGain(DUCKED_GAIN, DUCK_MS);
    clearTimeout(this.#duckTimer);
    this.#duckTimer = setTimeout(() => player.setGain(1, UNDUCK_MS), MOST_DUCKED_MS);
  }

  #ended(viewer: string, atMs: number, delays: ViewerDelays): void {
    const { bargeIn, player, onBargeIn, onState } = this.#options;
    const beganMs = this.#bargeIns.get(viewer);
    if (this.#bargeIns.delete(viewer) && beganMs !== undefined && bargeIn !== 'off') {
      onBargeIn(bargeIn, atMs - beganMs < BRIEF_MS ? 'brief' : 'confirmed');
    }
    this.#tell('viewer.silent', viewer, atMs, delays);
    if (this.#speakers.isSpeaking) return;
    clearTimeout(this.#duckTimer);
    player.setGain(1, UNDUCK_MS);
    // A remark during the speech has no answer of its own.
    if (!player.hasSpeech) this.#awaitAnswer(0);
    onState();
  }

  #tell(type: 'viewer.speaking' | 'viewer.silent', viewer: string, atMs: number, delays: ViewerDelays): void {
    const { emit, voices } = this.#options;
    const { atMs: saidAtMs, playing } = voices.stamp(atMs, delays);
    emit({ type, viewer, saidAtMs, ...(playing && { playing }) });
  }

  #awaitAnswer(awaitedMs: number): void {
    this.#awaitedSinceMs = this.#options.nowMs() - awaitedMs;
    this.#answerTimer = setTimeout(() => this.answered(), ANSWER_MS - awaitedMs);
  }

  #stopWaiting(): void {
    clearTimeout(this.#answerTimer);
    this.#answerTimer = undefined;
  }
}
