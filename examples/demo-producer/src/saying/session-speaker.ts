import { randomUUID } from 'node:crypto';
import { type Pose, SPEECH_SAMPLE_RATE, speak } from '@humancast/demo-face';
import type { Humancast, LivePush } from '@humancast/producer';
import { HumancastError, type Logger, type Span, Stages, type Tracer, traceFields } from '@humancast/shared';
import type { SayMetrics } from '../metrics.js';
import type { FaceCamera } from '../picture/face-camera.js';
import type { IdlePoses } from '../picture/idle-pose.js';
import type { Gate } from '../speech/gate.js';
import { FRAMES_PER_SECOND, type Speak, type Utterance, utterancesOf } from '../speech/utterances.js';
import { pushSpeech } from './live-speech.js';
import { toldError } from './told-error.js';

export interface SpeakerParts {
  humancast: Humancast;
  camera: FaceCamera;
  idlePoses: IdlePoses;
  /** Of all speakers: synthesis takes several processes, and can't be stopped once it has begun. */
  synthesis: Gate;
  metrics: SayMetrics;
  logger: Logger;
  tracer: Tracer;
}

export interface SpeakerLimits {
  voice: string;
  queueLimit: number;
  aheadMs: number;
}

/** A text on its way. */
interface Saying {
  readonly text: string;
  readonly interrupt: boolean;
  /** Texts before it when it came. */
  readonly ahead: number;
  readonly receivedAtMs: number;
  readonly abort: AbortController;
  /** The segment, once it is open. */
  readonly opened: PromiseWithResolvers<string>;
  readonly span: Span;
  /** Until its first frame is pushed. */
  readonly stages: Stages;
  /** Whether it is a segment in the session's queue: then its end is told by that. */
  isOpen: boolean;
}

type Outcome = 'said' | 'interrupted' | 'failed';

/** How its segments are called: others than the one it was typed for need not read it. */
const SEGMENT_NAME = 'Typed text';
/** After the last push, so long is waited for the end of what is being heard. */
const LINGER_MS = 60_000;

/** Says texts in one session: one after the other, or each in place of the one before. */
export class SessionSpeaker {
  readonly #session: string;
  readonly #parts: SpeakerParts;
  readonly #limits: SpeakerLimits;
  readonly #onIdle: () => void;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  readonly #sayings = new Set<Saying>();
  /** Segments were made for one moment: they are removed when they have been both pushed and heard. */
  readonly #pushing = new Set<string>();
  readonly #unheard = new Set<string>();
  /** Keys of interruptions of its own whose events have not come yet. */
  readonly #interruptions = new Set<string>();
  #last: Promise<void> = Promise.resolve();
  #linger: NodeJS.Timeout | undefined;

  /** @param onIdle called once, when there is nothing left to do. */
  constructor(session: string, parts: SpeakerParts, limits: SpeakerLimits, onIdle: () => void) {
    this.#session = session;
    this.#parts = parts;
    this.#limits = limits;
    this.#onIdle = onIdle;
    this.#logger = parts.logger.child({ session });
    void this.#follow();
  }

  /** Whether it says something, or is about to. */
  get isBusy(): boolean {
    return this.#sayings.size > 0;
  }

  /**
   * @returns how many texts are before this one; and its segment, as soon as it is open.
   * @throws HumancastError `queue_full`.
   */
  say(
    text: string,
    { interrupt, traceparent }: { interrupt: boolean; traceparent?: string | undefined },
  ): { ahead: number; opened: Promise<string> } {
    clearTimeout(this.#linger);
    if (interrupt) this.#drop(new HumancastError('replaced', 'another text is said instead'));
    const ahead = this.#sayings.size;
    if (ahead > this.#limits.queueLimit) {
      throw new HumancastError('queue_full', 'as many texts wait to be said in this session as allowed');
    }
    const opened = Promise.withResolvers<string>();
    opened.promise.catch(() => {});
    const receivedAtMs = performance.now();
    const attributes = { session: this.#session, characters: text.length, ahead };
    const span = this.#parts.tracer.start('say.text', { parent: traceparent, kind: 'server', attributes });
    const trace = { span, stages: new Stages(Date.now()) };
    const abort = new AbortController();
    const saying = { text, interrupt, ahead, receivedAtMs, abort, opened, ...trace, isOpen: false };
    this.#sayings.add(saying);
    this.#last = ahead === 0 ? this.#run(saying) : this.#last.then(() => this.#run(saying));
    return { ahead, opened: opened.promise };
  }

  /** Stops in the middle of what it says. May be called twice. */
  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    clearTimeout(this.#linger);
    this.#drop(new HumancastError('session_ended'));
    for (const segment of this.#unheard) this.#tidy(segment);
    this.#onIdle();
  }

  #drop(reason: HumancastError, which: (saying: Saying) => boolean = () => true): void {
    for (const saying of [...this.#sayings].filter(which)) {
      saying.abort.abort(reason);
      saying.opened.reject(reason);
      this.#sayings.delete(saying);
    }
  }

  async #run(saying: Saying): Promise<void> {
    const { metrics } = this.#parts;
    const { signal } = saying.abort;
    saying.stages.end('say.turn');
    if (signal.aborted) {
      saying.span.end({ error: 'interrupted' });
      return;
    }
    metrics.speaking.inc();
    let outcome: Outcome = 'failed';
    try {
      outcome = await this.#speak(saying);
    } catch (error) {
      if (signal.aborted) outcome = 'interrupted';
      else this.#logger.warn({ err: error }, 'a text could not be said');
      saying.opened.reject(toldError(error));
    } finally {
      metrics.speaking.dec();
      metrics.texts.inc({ outcome });
      this.#logger.info({ outcome, ...traceFields(saying.span.traceparent) }, 'done');
      saying.span.end(outcome === 'said' ? {} : { error: outcome });
      this.#sayings.delete(saying);
      this.#wait();
    }
  }

  /** Synthesis begins first of all: it takes the longest, and what else must be done goes on beside it. */
  async #speak(saying: Saying): Promise<Outcome> {
    const { humancast, synthesis, idlePoses } = this.#parts;
    const { signal } = saying.abort;
    const synthesise: Speak = async (text, options) => {
      const speech = await synthesis.pass(signal, () => speak(text, options));
      saying.stages.end('say.synthesis');
      return speech;
    };
    const started = Promise.withResolvers<(nowMs: number) => Pose>();
    const startPose = async () => (await started.promise)(performance.now());
    const utterances = utterancesOf(saying.text, this.#limits.voice, synthesise, startPose);
    const [{ avatar, nextCut }] = await Promise.all([
      humancast.session(this.#session, { signal }),
      // What is said now stops at once, not when this begins; and before this is queued, which it would drop too.
      saying.interrupt ? this.#interrupt(signal) : undefined,
    ]);
    started.resolve(idlePoses.after(nextCut, performance.now()));
    const push = await this.#open(avatar, saying);
    saying.isOpen = true;
    saying.stages.end('say.open');
    this.#pushing.add(push.segment);
    this.#unheard.add(push.segment);
    saying.opened.resolve(push.segment);
    try {
      await this.#push(push, utterances, saying);
      return 'said';
    } catch (error) {
      push.cancel();
      if (push.interrupted.aborted) return 'interrupted';
      throw error;
    } finally {
      this.#pushing.delete(push.segment);
      if (!this.#unheard.has(push.segment)) this.#tidy(push.segment);
    }
  }

  #interrupt(signal: AbortSignal): Promise<void> {
    const idempotencyKey = randomUUID();
    this.#interruptions.add(idempotencyKey);
    return this.#parts.humancast.interrupt(this.#session, { signal, idempotencyKey });
  }

  #open(avatar: string, { interrupt, abort, span }: Saying): Promise<LivePush> {
    const { humancast, camera } = this.#parts;
    return humancast.live({
      avatar,
      session: this.#session,
      name: SEGMENT_NAME,
      interrupt,
      fps: FRAMES_PER_SECOND,
      width: camera.size,
      height: camera.size,
      pixelFormat: 'i420',
      sampleRate: SPEECH_SAMPLE_RATE,
      sampleFormat: 's16',
      signal: abort.signal,
      traceparent: span.traceparent,
    });
  }

  async #push(push: LivePush, utterances: AsyncIterable<Utterance>, saying: Saying): Promise<void> {
    const { camera, metrics } = this.#parts;
    const sinceMs = () => performance.now() - saying.receivedAtMs;
    const openedMs = sinceMs();
    const onStart = () => {
      const firstFrameMs = sinceMs();
      saying.stages.end('say.first_frame');
      this.#recordStages(push.segment, saying);
      if (saying.ahead === 0) metrics.firstFrame.observe(firstFrameMs / 1000);
      this.#logger.info({ segment: push.segment, openedMs, firstFrameMs }, 'speaking');
    };
    const signal = AbortSignal.any([saying.abort.signal, push.interrupted]);
    await pushSpeech(push, utterances, camera, { aheadMs: this.#limits.aheadMs, signal, onStart });
    await push.end();
  }

  #recordStages(segment: string, { span, stages }: Saying): void {
    const attributes = { session: this.#session, segment };
    stages.record(this.#parts.tracer, 'say.start', { parent: span.traceparent, attributes });
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    try {
      for await (const event of this.#parts.humancast.events(this.#session, { signal })) {
        if (event.type === 'session.ended') this.close();
        if (event.type === 'session.interrupted') this.#interrupted(event.idempotencyKey);
        if (event.type === 'speech.finished' && this.#unheard.delete(event.segment)) this.#heard(event.segment);
      }
    } catch (error) {
      // A session that is not there: who wanted something said in it is told so.
      this.#logger.debug({ err: error }, 'no events');
    }
  }

  /** Somebody wants silence: texts that are not in the session's queue yet are not said any more either. */
  #interrupted(key: string | undefined): void {
    if (key !== undefined && this.#interruptions.delete(key)) return;
    const reason = new HumancastError('replaced', 'the session was interrupted before this text was begun');
    this.#drop(reason, (saying) => !saying.isOpen);
  }

  #heard(segment: string): void {
    if (!this.#pushing.has(segment)) this.#tidy(segment);
    this.#wait();
  }

  #tidy(segment: string): void {
    this.#parts.humancast
      .deleteSegment(segment)
      .catch((error: unknown) => this.#logger.debug({ err: error, segment }, 'not removed; it will expire'));
  }

  /** Nothing to say: until all of it has been heard, there is something to tidy up. */
  #wait(): void {
    if (this.#sayings.size > 0 || this.#closing.signal.aborted) return;
    clearTimeout(this.#linger);
    if (this.#unheard.size === 0) this.close();
    else this.#linger = setTimeout(() => this.close(), LINGER_MS);
  }
}
