import type { Speech } from '@humancast/demo-face';
import { describe, expect, it } from 'vitest';
import { toBase64 } from '../realtime/pcm.js';
import { Conversation } from './conversation.js';

const RATE = 24_000;
const silence = (seconds: number) => new Int16Array(RATE * seconds);
const voice = (seconds: number) =>
  Int16Array.from({ length: RATE * seconds }, (_, i) => 8000 * Math.sin((2 * Math.PI * 200 * i) / RATE));

/** A voice that says each word in half a second. */
const speak = async (text: string): Promise<Speech> => {
  const words = text.split(' ').map((word, i) => ({ text: word, startSeconds: i / 2, endSeconds: (i + 1) / 2 }));
  return { pcm: new Int16Array((22_050 * words.length) / 2).fill(1000), phonemes: [], words };
};

function open() {
  const sent: Record<string, unknown>[] = [];
  const conversation = new Conversation({ send: (event) => sent.push(event), speak });
  const append = (pcm: Int16Array) => conversation.handle({ type: 'input_audio_buffer.append', audio: toBase64(pcm) });
  const of = (type: string) => sent.filter((event) => event['type'] === type);
  /** Speaks, and waits for the whole answer. */
  const ask = async () => {
    const before = of('response.done').length;
    append(silence(0.5));
    append(voice(1));
    append(silence(1));
    await expect.poll(() => of('response.done').length).toBe(before + 1);
    return of('response.output_audio.delta').at(-1)?.['item_id'] as string;
  };
  return { conversation, append, of, ask, types: () => sent.map(({ type }) => type) };
}

describe('Conversation of the stand-in', () => {
  it('answers a voice with the events of the Realtime API, in their order', async () => {
    const { of, ask, types } = open();
    await ask();
    expect([...new Set(types())]).toEqual([
      'session.created',
      'input_audio_buffer.speech_started',
      'input_audio_buffer.speech_stopped',
      'input_audio_buffer.committed',
      'response.created',
      'response.output_audio_transcript.delta',
      'response.output_audio.delta',
      'response.output_audio.done',
      'response.done',
    ]);
    expect(of('input_audio_buffer.speech_started')[0]).toMatchObject({ audio_start_ms: 500 });
    expect(of('input_audio_buffer.speech_stopped')[0]).toMatchObject({ audio_end_ms: 1500 });
    expect(of('response.done')[0]).toMatchObject({ response: { status: 'completed' } });
  });

  it('does not hear silence, or a click', () => {
    const { append, types } = open();
    append(silence(2));
    append(voice(0.04));
    append(silence(2));
    expect(types()).toEqual(['session.created']);
  });

  it('forgets the words that were not heard, and says which ones were', async () => {
    const { conversation, of, ask } = open();
    const item = await ask();
    // Two and a half words of half a second each.
    conversation.handle({ type: 'conversation.item.truncate', item_id: item, content_index: 0, audio_end_ms: 1250 });
    expect(of('conversation.item.truncated')[0]).toMatchObject({ item_id: item, audio_end_ms: 1250 });
    expect(conversation.history.items).toEqual([
      { role: 'user', text: '', wasCut: false },
      { role: 'assistant', text: 'You have', wasCut: true },
    ]);
    await ask();
    expect(conversation.history.items[3]?.text).toContain('I had said: You have.');
  });

  it('stops its answer when it hears a voice, and when it is told to', async () => {
    for (const stop of ['voice', 'cancel']) {
      const { conversation, append, of } = open();
      append(voice(1));
      append(silence(1));
      if (stop === 'voice') append(voice(0.2));
      else conversation.handle({ type: 'response.cancel' });
      await expect.poll(() => of('response.done').length).toBe(1);
      expect(of('response.done')[0]).toMatchObject({ response: { status: 'cancelled' } });
      expect(of('response.output_audio.delta')).toEqual([]);
    }
  });

  it('rejects what the Realtime API rejects', () => {
    const { conversation, of } = open();
    conversation.handle({ type: 'response.cancel' });
    conversation.handle({ type: 'conversation.item.truncate', item_id: 'none', content_index: 0, audio_end_ms: 1 });
    const codes = of('error').map(({ error }) => (error as { code: string }).code);
    expect(codes).toEqual(['response_cancel_not_active', 'item_truncate_invalid_item_id']);
  });
});
