import { type Heard, heardSchema, LISTEN_LENGTH_BYTES } from '@humancast/protocol';

/** A frame of a viewer's voice, as it is published and sent to listeners. */
export interface HeardMessage {
  readonly heard: Heard;
  readonly pcm: Buffer;
}

export function packHeard({ heard, pcm }: HeardMessage): Buffer {
  const json = JSON.stringify(heard);
  const bytes = Buffer.byteLength(json);
  // PCM begins at an even offset, so that readers need no copy.
  const header = bytes + (bytes % 2);
  const message = Buffer.alloc(LISTEN_LENGTH_BYTES + header + pcm.length, ' ');
  message.writeUInt16LE(header);
  message.write(json, LISTEN_LENGTH_BYTES);
  pcm.copy(message, LISTEN_LENGTH_BYTES + header);
  return message;
}

/** @throws RangeError, SyntaxError or ZodError if it is damaged. */
export function unpackHeard(message: Buffer): HeardMessage {
  const end = LISTEN_LENGTH_BYTES + message.readUInt16LE(0);
  if (end > message.length) throw new RangeError('the header is longer than the message');
  const heard = heardSchema.parse(JSON.parse(message.toString('utf8', LISTEN_LENGTH_BYTES, end)));
  return { heard, pcm: message.subarray(end) };
}
