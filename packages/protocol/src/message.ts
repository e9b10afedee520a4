import { z } from 'zod';

/** Size limit of a message between a page and producers, bytes of JSON. */
export const MESSAGE_LIMIT_BYTES = 2048;

/** The data of a message between a page and producers: any JSON value. */
export const messageDataSchema = z
  .unknown()
  .refine(
    (data) => data !== undefined && new TextEncoder().encode(JSON.stringify(data)).length <= MESSAGE_LIMIT_BYTES,
    `a message has at most ${MESSAGE_LIMIT_BYTES} bytes of JSON`,
  );
export type MessageData = z.infer<typeof messageDataSchema>;
