import { randomUUID } from 'node:crypto';
import { type Pose, SPEECH_SAMPLE_RATE, speak } from '@humancast/demo-face';
import type { Humancast, LivePush } from '@humancast/producer';
import { HumancastError, type Logger, type Span, Stages, type Tracer, traceFields } from '@humancast/shared';
import type { SayMetrics } from '../metrics.js';
import type { Gate } from '../speech/gate.js';
import { FRAMES_PER_SECOND, type Speak, type Utterance, utterancesOf } from '../speech/utterances.js';
import type { FaceCamera } from '../video/face-camera.js';
import type { IdlePoses } from '../video/idle-pose.js';
import { callerError } from './caller-error.js';
import { pushSpeech } from './live-speech.js';

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
interface QueuedText {
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
  readonly #texts = new Set<QueuedText>();
  /** Segments were made for one moment: they are removed when they have been both pushed and heard. */
  readonly #pushing = new Set<string>();
  readonly #unfinished = new Set<string>();
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
    return this.#texts.size > 0;
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
    const ahead = this.#texts.size;
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
    const queued = { text, interrupt, ahead, receivedAtMs, abort, opened, ...trace, isOpen: false };
    this.#texts.add(queued);
    this.#last = ahead === 0 ? this.#run(queued) : this.#last.then(() => this.#run(queued));
    return { ahead, opened: opened.promise };
  }

  /** Stops in the middle of what it says. May be called twice. */
  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    clearTimeout(this.#linger);
    this.#drop(new HumancastError('session_ended'));
    for (const segment of this.#unfinished) this.#deleteSegment(segment);
    this.#onIdle();
  }

  #drop(reason: HumancastError, which: (queued: QueuedText) => boolean = () => true): void {
    for (const queued of [...this.#texts].filter(which)) {
      queued.abort.abort(reason);
      queued.opened.reject(reason);
      this.#texts.delete(queued);
    }
  }

  async #run(queued: QueuedText): Promise<void> {
    const { metrics } = this.#parts;
    const { signal } = queued.abort;
    queued.stages.end('say.turn');
    if (signal.aborted) {
      queued.span.end({ error: 'interrupted' });
      return;
    }
    metrics.speaking.inc();
    let outcome: Outcome = 'failed';
    try {
      outcome = await this.#speak(queued);
    } catch (error) {
      if (signal.aborted) outcome = 'interrupted';
      else this.#logger.warn({ err: error }, 'a text could not be said');
      queued.opened.reject(callerError(error));
    } finally {
      metrics.speaking.dec();
      metrics.texts.inc({ outcome });
      this.#logger.info({ outcome, ...traceFields(queued.span.traceparent) }, 'done');
      queued.span.end(outcome === 'said' ? {} : { error: outcome });
      this.#texts.delete(queued);
      this.#closeWhenIdle();
    }
  }

  /** Synthesis begins first of all: it takes the longest, and what else must be done goes on beside it. */
  async #speak(queued: QueuedText): Promise<Outcome> {
    const { humancast, synthesis, idlePoses } = this.#parts;
    const { signal } = queued.abort;
    const synthesize: Speak = async (text, options) => {
      const speech = await synthesis.pass(signal, () => speak(text, options));
      queued.stages.end('say.synthesis');
      return speech;
    };
    const started = Promise.withResolvers<(nowMs: number) => Pose>();
    const startPose = async () => (await started.promise)(performance.now());
    const utterances = utterancesOf(queued.text, this.#limits.voice, synthesize, startPose);
    const [{ avatar, nextCut }] = await Promise.all([
      humancast.session(this.#session, { signal }),
      // What is said now stops at once, not when this begins; and before this is queued, which it would drop too.
      queued.interrupt ? this.#interrupt(signal) : undefined,
    ]);
    started.resolve(idlePoses.after(nextCut, performance.now()));
    const push = await this.#open(avatar, queued);
    queued.isOpen = true;
    queued.stages.end('say.open');
    this.#pushing.add(push.segment);
    this.#unfinished.add(push.segment);
    queued.opened.resolve(push.segment);
    try {
      await this.#push(push, utterances, queued);
      return 'said';
    } catch (error) {
      push.cancel();
      if (push.interrupted.aborted) return 'interrupted';
      throw error;
    } finally {
      this.#pushing.delete(push.segment);
      if (!this.#unfinished.has(push.segment)) this.#deleteSegment(push.segment);
    }
  }

  #interrupt(signal: AbortSignal): Promise<void> {
    const idempotencyKey = randomUUID();
    this.#interruptions.add(idempotencyKey);
    return this.#parts.humancast.interrupt(this.#session, { signal, idempotencyKey });
  }

  #open(avatar: string, { interrupt, abort, span }: QueuedText): Promise<LivePush> {
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

  async #push(push: LivePush, utterances: AsyncIterable<Utterance>, queued: QueuedText): Promise<void> {
    const { camera, metrics } = this.#parts;
    const sinceMs = () => performance.now() - queued.receivedAtMs;
    const openedMs = sinceMs();
    const onStart = () => {
      const firstFrameMs = sinceMs();
      queued.stages.end('say.first_frame');
      this.#recordStages(push.segment, queued);
      if (queued.ahead === 0) metrics.firstFrame.observe(firstFrameMs / 1000);
      this.#logger.info({ segment: push.segment, openedMs, firstFrameMs }, 'speaking');
    };
    const signal = AbortSignal.any([queued.abort.signal, push.interrupted]);
    await pushSpeech(push, utterances, camera, { aheadMs: this.#limits.aheadMs, signal, onStart });
    await push.end();
  }

  #recordStages(segment: string, { span, stages }: QueuedText): void {
    const attributes = { session: this.#session, segment };
    stages.record(this.#parts.tracer, 'say.start', { parent: span.traceparent, attributes });
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    try {
      for await (const event of this.#parts.humancast.events(this.#session, { signal })) {
        if (event.type === 'session.ended') this.close();
        if (event.type === 'session.interrupted') this.#interrupted(event.idempotencyKey);
        if (event.type === 'speech.finished' && this.#unfinished.delete(event.segment)) this.#onFinished(event.segment);
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
    this.#drop(reason, (queued) => !queued.isOpen);
  }

  #onFinished(segment: string): void {
    if (!this.#pushing.has(segment)) this.#deleteSegment(segment);
    this.#closeWhenIdle();
  }

  #deleteSegment(segment: string): void {
    this.#parts.humancast
      .deleteSegment(segment)
      .catch((error: unknown) => this.#logger.debug({ err: error, segment }, 'not removed; it will expire'));
  }

  /** Nothing to say: until all of it has been heard, there is something to tidy up. */
  #closeWhenIdle(): void {
    if (this.#texts.size > 0 || this.#closing.signal.aborted) return;
    clearTimeout(this.#linger);
    if (this.#unfinished.size === 0) this.close();
    else this.#linger = setTimeout(() => this.close(), LINGER_MS);
  }
}
