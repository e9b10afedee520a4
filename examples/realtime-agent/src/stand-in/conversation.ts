import { randomUUID } from 'node:crypto';
import { SPEECH_SAMPLE_RATE, type Speech } from '@humancast/demo-face';
import { fromInt16, Resampler, toInt16 } from '@humancast/shared';
import { type ClientEvent, REALTIME_RATE } from '../realtime/messages.js';
import { fromBase64, toBase64 } from '../realtime/pcm.js';
import { EnergyVad, type VoiceChange } from './energy-vad.js';
import { History } from './history.js';
import { replyTo } from './replies.js';

/** Length of an audio delta, samples. */
const DELTA_SAMPLES = REALTIME_RATE / 5;
/** Pause between two sentences. */
const PAUSE_SAMPLES = REALTIME_RATE / 4;

export interface ConversationParts {
  /** Sends an event of the Realtime API. */
  readonly send: (event: Readonly<Record<string, unknown>>) => void;
  readonly speak: (text: string) => Promise<Speech>;
}

/** One conversation of the stand-in: hears when somebody speaks, and answers with a synthetic voice. */
export class Conversation {
  readonly history = new History();
  readonly #parts: ConversationParts;
  readonly #vad = new EnergyVad(REALTIME_RATE);
  #speechStartMs = 0;
  #response: AbortController | undefined;

  constructor(parts: ConversationParts) {
    this.#parts = parts;
    this.#send('session.created', { session: { id: idOf('sess'), type: 'realtime' } });
  }

  handle(event: ClientEvent): void {
    switch (event.type) {
      case 'session.update':
        this.#send('session.updated', { session: event.session });
        break;
      case 'input_audio_buffer.append':
        for (const change of this.#vad.push(fromBase64(event.audio))) this.#onVoice(change);
        break;
      case 'response.cancel':
        if (this.#response) this.#response.abort();
        else this.fail('response_cancel_not_active', 'there is no active response');
        break;
      case 'conversation.item.truncate':
        if (!this.history.truncate(event.item_id, event.audio_end_ms)) {
          this.fail('item_truncate_invalid_item_id', `there is no assistant item "${event.item_id}"`);
          break;
        }
        this.#send('conversation.item.truncated', {
          item_id: event.item_id,
          content_index: event.content_index,
          audio_end_ms: event.audio_end_ms,
        });
    }
  }

  fail(code: string, message: string): void {
    this.#send('error', { error: { type: 'invalid_request_error', code, message } });
  }

  close(): void {
    this.#response?.abort();
  }

  #onVoice({ type, atMs }: VoiceChange): void {
    if (type === 'started') {
      this.#speechStartMs = atMs;
      this.#response?.abort();
      this.#send('input_audio_buffer.speech_started', { audio_start_ms: atMs, item_id: idOf('item') });
      return;
    }
    const item = idOf('item');
    this.#send('input_audio_buffer.speech_stopped', { audio_end_ms: atMs, item_id: item });
    this.#send('input_audio_buffer.committed', { item_id: item });
    const reply = replyTo(atMs - this.#speechStartMs, this.history);
    this.history.add(item, 'user');
    void this.#respond(reply);
  }

  async #respond(text: string): Promise<void> {
    const stop = new AbortController();
    this.#response?.abort();
    this.#response = stop;
    const [response, item] = [idOf('resp'), idOf('item')];
    this.#send('response.created', { response: { id: response, status: 'in_progress' } });
    this.history.add(item, 'assistant');
    let status = 'completed';
    try {
      await this.#say(text, { response, item, signal: stop.signal });
    } catch (error) {
      status = stop.signal.aborted ? 'cancelled' : 'failed';
      if (status === 'failed') this.fail('server_error', (error as Error).message);
    }
    if (this.#response === stop) this.#response = undefined;
    this.#send('response.done', { response: { id: response, status } });
  }

  /** Sends an answer sentence by sentence, much faster than it is spoken. */
  async #say(text: string, { response, item, signal }: { response: string; item: string; signal: AbortSignal }) {
    const place = { response_id: response, item_id: item, output_index: 0, content_index: 0 };
    let positionMs = 0;
    for (const sentence of text.split(/(?<=[.!?])\s+/)) {
      const { pcm, words } = await this.#parts.speak(sentence);
      signal.throwIfAborted();
      const startMs = positionMs;
      const timed = words.map((word) => ({ text: word.text, endMs: startMs + 1000 * word.endSeconds }));
      this.history.say(item, timed);
      this.#send('response.output_audio_transcript.delta', { ...place, delta: `${sentence} ` });
      const audio = resampled(pcm);
      for (let at = 0; at < audio.length; at += DELTA_SAMPLES) {
        const delta = toBase64(audio.subarray(at, at + DELTA_SAMPLES));
        this.#send('response.output_audio.delta', { ...place, delta });
      }
      positionMs += (1000 * audio.length) / REALTIME_RATE;
    }
    this.#send('response.output_audio.done', place);
  }

  #send(type: string, fields: Readonly<Record<string, unknown>>): void {
    this.#parts.send({ type, event_id: idOf('event'), ...fields });
  }
}

/** @returns espeak-ng's voice at the API's rate, with the pause after it. */
function resampled(pcm: Int16Array): Int16Array {
  const resampler = new Resampler(SPEECH_SAMPLE_RATE, REALTIME_RATE);
  const parts = [resampler.push(fromInt16(pcm)), resampler.end()];
  const audio = new Int16Array(parts.reduce((sum, { length }) => sum + length, PAUSE_SAMPLES));
  let at = 0;
  for (const part of parts) {
    audio.set(toInt16(part), at);
    at += part.length;
  }
  return audio;
}

const idOf = (kind: string) => `${kind}_${randomUUID().replaceAll('-', '')}`;
