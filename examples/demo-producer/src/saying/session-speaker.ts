import {
  type FaceCamera,
  FRAMES_PER_SECOND,
  type IdlePoses,
  type Pose,
  SPEECH_SAMPLE_RATE,
  speak,
} from '@humancast/demo-face';
import { type Humancast, type LivePush, ProducerError } from '@humancast/producer';
import { HumancastError, type Logger, type Span, Stages, type Tracer, traceFields } from '@humancast/shared';
import type { SayMetrics } from '../metrics.js';
import type { Gate } from '../speech/gate.js';
import { type Speak, type Utterance, utterancesOf } from '../speech/utterances.js';
import { callerError } from './caller-error.js';
import { pushSpeech } from './live-speech.js';

export interface SpeakerParts {
  humancast: Humancast;
  camera: FaceCamera;
  idlePoses: IdlePoses;
  /** Limits synthesis over all speakers: each run takes several processes and cannot be stopped. */
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

/** A text between its request and the end of its push. */
interface QueuedText {
  readonly text: string;
  /** The session's turn that it belongs to. */
  readonly turn: number;
  /** Number of texts queued before it when it arrived. */
  readonly ahead: number;
  readonly receivedAtMs: number;
  readonly abort: AbortController;
  /** Resolves with the segment once the push is open. */
  readonly opened: PromiseWithResolvers<string>;
  readonly span: Span;
  /** Latency stages up to the first pushed frame. */
  readonly stages: Stages;
}

type Outcome = 'said' | 'interrupted' | 'failed';

/** Name of the segments. Without the text, which is told to the session's readers as it is heard. */
const SEGMENT_NAME = 'Typed text';
/** Time to wait for the end of playback after the last push. */
const LINGER_MS = 60_000;

/** Speaks texts in one session, one after the other; a text of a new turn replaces those of earlier ones. */
export class SessionSpeaker {
  readonly #session: string;
  readonly #parts: SpeakerParts;
  readonly #limits: SpeakerLimits;
  readonly #onIdle: () => void;
  readonly #logger: Logger;
  readonly #closing = new AbortController();
  readonly #texts = new Set<QueuedText>();
  /** Segments still being pushed or played. A segment is deleted once it is in neither set. */
  readonly #pushing = new Set<string>();
  readonly #unfinished = new Set<string>();
  #last: Promise<void> = Promise.resolve();
  #linger: NodeJS.Timeout | undefined;

  /** @param onIdle called once, when the speaker has nothing left to do. */
  constructor(session: string, parts: SpeakerParts, limits: SpeakerLimits, onIdle: () => void) {
    this.#session = session;
    this.#parts = parts;
    this.#limits = limits;
    this.#onIdle = onIdle;
    this.#logger = parts.logger.child({ session });
    void this.#follow();
  }

  /** Whether a text is queued or being spoken. */
  get isBusy(): boolean {
    return this.#texts.size > 0;
  }

  /**
   * @returns the number of texts before this one, and its segment once it is open.
   * @throws HumancastError `queue_full`.
   */
  say(
    text: string,
    { turn, traceparent }: { turn: number; traceparent?: string | undefined },
  ): { ahead: number; opened: Promise<string> } {
    clearTimeout(this.#linger);
    this.#dropBefore(turn);
    const ahead = this.#texts.size;
    if (ahead > this.#limits.queueLimit) {
      throw new HumancastError('queue_full', 'the limit of texts waiting in this session is reached');
    }
    const opened = Promise.withResolvers<string>();
    opened.promise.catch(() => {});
    const receivedAtMs = performance.now();
    const attributes = { session: this.#session, characters: text.length, ahead };
    const span = this.#parts.tracer.start('say.text', { parent: traceparent, kind: 'server', attributes });
    const trace = { span, stages: new Stages(Date.now()) };
    const abort = new AbortController();
    const queued = { text, turn, ahead, receivedAtMs, abort, opened, ...trace };
    this.#texts.add(queued);
    this.#last = ahead === 0 ? this.#run(queued) : this.#last.then(() => this.#run(queued));
    return { ahead, opened: opened.promise };
  }

  /** Stops speaking at once. May be called twice. */
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
      if (signal.aborted || isInterruption(error)) outcome = 'interrupted';
      else this.#logger.warn({ err: error }, 'failed to speak a text');
      queued.opened.reject(callerError(error));
    } finally {
      metrics.speaking.dec();
      metrics.texts.inc({ outcome });
      this.#logger.info({ outcome, ...traceFields(queued.span.traceparent) }, 'text finished');
      queued.span.end(outcome === 'said' ? {} : { error: outcome });
      this.#texts.delete(queued);
      this.#closeWhenIdle();
    }
  }

  /** Starts synthesis first: it takes the longest, and the rest runs beside it. */
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
    const { avatar, nextCut } = await humancast.session(this.#session, { signal });
    started.resolve(idlePoses.after(nextCut, performance.now()));
    const push = await this.#open(avatar, queued);
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

  #open(avatar: string, { turn, abort, span }: QueuedText): Promise<LivePush> {
    const { humancast, camera } = this.#parts;
    return humancast.live({
      avatar,
      session: this.#session,
      turn,
      name: SEGMENT_NAME,
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
        if (event.type === 'session.interrupted') this.#dropBefore(event.turn);
        if (event.type === 'speech.finished' && this.#unfinished.delete(event.segment)) this.#onFinished(event.segment);
      }
    } catch (error) {
      // If the session does not exist, the request itself fails with that error.
      this.#logger.debug({ err: error }, 'failed to read session events');
    }
  }

  /** Drops the texts of earlier turns: an interruption ends all of them, also those that have not begun. */
  #dropBefore(turn: number): void {
    const reason = new HumancastError('interrupted', 'the session was interrupted before this text was spoken');
    this.#drop(reason, (queued) => queued.turn < turn);
  }

  #onFinished(segment: string): void {
    if (!this.#pushing.has(segment)) this.#deleteSegment(segment);
    this.#closeWhenIdle();
  }

  #deleteSegment(segment: string): void {
    this.#parts.humancast
      .deleteSegment(segment)
      .catch((error: unknown) =>
        this.#logger.debug({ err: error, segment }, 'failed to delete segment; it will expire'),
      );
  }

  /** Closes the speaker once every segment has finished, or after LINGER_MS. */
  #closeWhenIdle(): void {
    if (this.#texts.size > 0 || this.#closing.signal.aborted) return;
    clearTimeout(this.#linger);
    if (this.#unfinished.size === 0) this.close();
    else this.#linger = setTimeout(() => this.close(), LINGER_MS);
  }
}

function isInterruption(error: unknown): boolean {
  return error instanceof ProducerError && error.code === 'interrupted';
}
