import { z } from 'zod';

/** PCM in both directions: 16 bits, mono, little endian, Hz. */
export const REALTIME_RATE = 24_000;

const id = z.string().max(256);

/** Events of the Realtime API that the agent uses; it has many more. */
export const serverEventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('session.created') }),
  z.object({ type: z.literal('input_audio_buffer.speech_started'), audio_start_ms: z.number() }),
  z.object({ type: z.literal('input_audio_buffer.speech_stopped'), audio_end_ms: z.number() }),
  z.object({ type: z.literal('response.created'), response: z.object({ id }) }),
  z.object({
    type: z.literal('response.output_audio.delta'),
    response_id: id,
    item_id: id,
    content_index: z.int(),
    delta: z.base64(),
  }),
  z.object({ type: z.literal('response.output_audio_transcript.delta'), response_id: id, delta: z.string() }),
  /** Everything of the response has been sent; `cancelled` if the viewer spoke or the agent asked for it. */
  z.object({ type: z.literal('response.done'), response: z.object({ id, status: z.string() }) }),
  z.object({ type: z.literal('conversation.item.truncated'), item_id: id, audio_end_ms: z.number() }),
  z.object({
    type: z.literal('error'),
    error: z.object({ code: z.string().nullish(), message: z.string() }),
  }),
]);
export type ServerEvent = z.infer<typeof serverEventSchema>;

/** Events that the agent sends, as the stand-in reads them. */
export const clientEventSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('session.update'), session: z.looseObject({ type: z.literal('realtime') }) }),
  z.object({ type: z.literal('input_audio_buffer.append'), audio: z.base64() }),
  z.object({ type: z.literal('response.cancel') }),
  z.object({
    type: z.literal('conversation.item.truncate'),
    item_id: id,
    content_index: z.int().min(0),
    /** The part of the item that was heard; the model forgets the rest. */
    audio_end_ms: z.int().min(0),
  }),
]);
export type ClientEvent = z.infer<typeof clientEventSchema>;
