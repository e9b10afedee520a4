import { setTimeout as sleep } from 'node:timers/promises';
import { type Humancast, ProducerError, type SessionEvent } from '@humancast/producer';
import type { Logger } from '@humancast/shared';
import { type ClientEvent, REALTIME_RATE, type ServerEvent } from '../realtime/messages.js';
import { fromBase64, toBase64 } from '../realtime/pcm.js';
import { Answer, type AnswerParts } from './answer.js';
import { MicrophoneFeed } from './microphone-feed.js';

/** Interval at which a pausing microphone is filled with silence, ms. */
const POLL_MS = 40;
/** Pause before listening again after the connection was lost, ms. */
const LISTEN_AGAIN_MS = 1000;
/** Finished segments that are remembered, because an event may be faster than the answer that it belongs to. */
const REMEMBERED = 20;

export interface AgentParts extends Omit<AnswerParts, 'humancast'> {
  readonly humancast: Humancast;
  readonly send: (event: ClientEvent) => void;
  readonly logger: Logger;
}

/** The answer that is being made or spoken. */
interface CurrentAnswer {
  readonly answer: Answer;
  /** The response of the model of which it consists, and whether all of it has arrived. */
  readonly response: string;
  isDone: boolean;
}

/** Connects a session with a speech-to-speech model: the viewers' voices to the model, its answers to the session. */
export class Agent {
  readonly #parts: AgentParts;
  readonly #logger: Logger;
  readonly #feed: MicrophoneFeed;
  readonly #closing = new AbortController();
  readonly #finished = new Map<string, number>();
  #answer: CurrentAnswer | undefined;
  #turn: number;
  /** The last request to set the idle state: they are made one after the other. */
  #state: Promise<void> = Promise.resolve();

  /** @param turn The session's turn. */
  constructor(turn: number, parts: AgentParts) {
    this.#turn = turn;
    this.#parts = parts;
    this.#logger = parts.logger;
    const append = (pcm: Int16Array) => parts.send({ type: 'input_audio_buffer.append', audio: toBase64(pcm) });
    this.#feed = new MicrophoneFeed(REALTIME_RATE, append, () => performance.now());
  }

  /** Listens and answers until the session has ended, or the agent is closed. */
  async run(): Promise<void> {
    const poll = setInterval(() => this.#feed.poll(), POLL_MS);
    const listening = this.#listen();
    const { humancast, session } = this.#parts;
    try {
      for await (const event of humancast.events(session, { from: 'start', signal: this.#closing.signal })) {
        if (event.type === 'session.ended') break;
        this.#onSessionEvent(event);
      }
    } catch (error) {
      if (!this.#closing.signal.aborted) throw error;
    } finally {
      clearInterval(poll);
      this.close();
      await listening;
    }
  }

  close(): void {
    this.#closing.abort();
    this.#answer?.answer.drop();
  }

  onRealtimeEvent(event: ServerEvent): void {
    switch (event.type) {
      case 'input_audio_buffer.speech_started':
        this.#onSpeech();
        break;
      case 'input_audio_buffer.speech_stopped':
        this.#show('thinking');
        break;
      case 'response.created':
        this.#begin(event.response.id);
        break;
      case 'response.output_audio.delta': {
        const { answer, response } = this.#answer ?? {};
        if (response !== event.response_id) break;
        if (!answer?.audio.push(event.item_id, event.content_index, fromBase64(event.delta))) {
          this.#logger.debug({ response }, 'dropped audio of an answer that is over');
        }
        break;
      }
      case 'response.output_audio_transcript.delta':
        if (this.#answer?.response === event.response_id) this.#answer.answer.transcribe(event.delta);
        break;
      case 'response.done':
        if (this.#answer?.response !== event.response.id) break;
        this.#answer.isDone = true;
        this.#answer.answer.audio.end();
        break;
      case 'error':
        this.#logger.warn({ code: event.error.code, message: event.error.message }, 'Realtime API error');
        break;
    }
  }

  /** The viewer begins to speak: what is being said is over. */
  #onSpeech(): void {
    // The media-sender may have noticed it before, and interrupted already.
    if (this.#answer && this.#answer.answer.turn >= this.#turn) {
      const { humancast, session } = this.#parts;
      humancast.interrupt(session, { turn: this.#turn }).catch((error: unknown) => {
        // Somebody else has interrupted, such as the session's own barge-in.
        if (!isInterrupted(error)) this.#logger.error({ err: error }, 'failed to interrupt');
      });
    }
    this.#show('listening');
  }

  #begin(response: string): void {
    this.#answer?.answer.drop();
    const answer = new Answer(this.#turn, this.#parts);
    const current: CurrentAnswer = { answer, response, isDone: false };
    this.#answer = current;
    answer
      .speak((segment) => this.#onStart(answer, segment))
      .then(
        (isSpoken) => {
          if (!isSpoken) this.#end(current, undefined);
        },
        (error: unknown) => {
          if (!isInterrupted(error) && !this.#closing.signal.aborted && !isAbort(error)) {
            this.#logger.error({ err: error }, 'failed to speak');
          }
          // Nothing of it was heard; else its end is told by an event.
          if (answer.segment === undefined) this.#end(current, 0);
        },
      );
  }

  #onStart(answer: Answer, segment: string): void {
    this.#show('idle');
    this.#logger.info({ segment, turn: answer.turn }, 'speaking');
    const positionMs = this.#finished.get(segment);
    if (positionMs !== undefined) this.#onFinished(segment, positionMs);
  }

  #onSessionEvent(event: SessionEvent): void {
    if (event.type === 'session.interrupted') this.#onInterrupted(event.turn);
    if (event.type !== 'speech.finished') return;
    this.#finished.set(event.segment, event.reason === 'finished' ? Number.POSITIVE_INFINITY : event.positionMs);
    const [oldest] = this.#finished.keys();
    if (this.#finished.size > REMEMBERED && oldest !== undefined) this.#finished.delete(oldest);
    this.#onFinished(event.segment, this.#finished.get(event.segment) ?? 0);
  }

  #onInterrupted(turn: number): void {
    this.#turn = Math.max(this.#turn, turn);
    if (!this.#answer || this.#answer.answer.turn >= this.#turn) return;
    // If the model heard the viewer, it has stopped by itself.
    if (!this.#answer.isDone) this.#parts.send({ type: 'response.cancel' });
    this.#answer.answer.drop();
  }

  #onFinished(segment: string, positionMs: number): void {
    const current = this.#answer;
    if (current?.answer.segment !== segment) return;
    this.#end(current, positionMs);
    this.#parts.humancast.deleteSegment(segment).catch((error: unknown) => {
      this.#logger.debug({ err: error, segment }, 'failed to delete a segment; it will expire');
    });
  }

  /** Lets the model forget what was not heard. @param heardMs `undefined`: it said nothing. */
  #end(current: CurrentAnswer, heardMs: number | undefined): void {
    const { answer, isDone } = current;
    answer.drop();
    if (heardMs !== undefined && heardMs !== Number.POSITIVE_INFINITY) {
      for (const cut of answer.audio.cutAt(heardMs, isDone)) {
        this.#logger.info({ item: cut.item, heardMs: cut.heardMs }, 'answer interrupted');
        this.#parts.send({
          type: 'conversation.item.truncate',
          item_id: cut.item,
          content_index: cut.contentIndex,
          audio_end_ms: cut.heardMs,
        });
      }
    }
    if (this.#answer === current) this.#answer = undefined;
  }

  #show(state: 'idle' | 'listening' | 'thinking'): void {
    const { humancast, session } = this.#parts;
    const { signal } = this.#closing;
    this.#state = this.#state.then(() =>
      humancast.setState(session, state, { signal }).catch((error: unknown) => {
        if (!signal.aborted) this.#logger.warn({ err: error, state }, 'failed to set the state');
      }),
    );
  }

  async #listen(): Promise<void> {
    const { humancast, session } = this.#parts;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        for await (const { viewer, pcm } of humancast.listen(session, { rate: REALTIME_RATE, signal })) {
          this.#feed.hear(viewer, pcm);
        }
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#logger.warn({ err: error }, 'failed to listen, trying again');
        await sleep(LISTEN_AGAIN_MS, undefined, { signal }).catch(() => {});
      }
    }
  }
}

function isInterrupted(error: unknown): boolean {
  return error instanceof ProducerError && error.code === 'interrupted';
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
