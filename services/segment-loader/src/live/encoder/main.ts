import { readSync, writeSync } from 'node:fs';
import type { ErrorCode } from '@humancast/protocol';
import { AV_LOG_ERROR } from 'node-av/constants';
import { type Frame, Log } from 'node-av/lib';
import { LiveEncoder } from './live-encoder.js';
import { BadFrame, blackPicture, stillPicture } from './video-reader.js';
import {
  type EncoderSetup,
  FROM_ENCODER,
  readWireHeader,
  TO_ENCODER,
  WIRE_HEADER_BYTES,
  type WireHead,
  type WireMessage,
  wireHeader,
} from './wire.js';

/**
 * The encoder of one live push, as a process: a codec that crashes takes nothing else along. It only ever reads, encodes and
 * writes, one after the other, so it does so without an event loop; that no one reads, or nothing comes, simply holds it up.
 */
const STDIN = 0;
const STDOUT = 1;
const NOTHING: Buffer = Buffer.alloc(0);
/** The body of the largest messages is read into the same memory again and again. */
let room: Buffer = Buffer.alloc(0);

function main(): void {
  Log.setLevel(AV_LOG_ERROR);
  LiveEncoder.warmUp();
  say({ kind: FROM_ENCODER.ready });
  const setup = hear();
  if (setup?.kind !== TO_ENCODER.setup) return;
  const encoder = new LiveEncoder(JSON.parse(setup.body.toString()) as EncoderSetup, (frame) =>
    say(
      { kind: FROM_ENCODER.frame, rendition: frame.rendition, keyframe: frame.keyframe, count: frame.number },
      frame.data,
    ),
  );
  say({ kind: FROM_ENCODER.ready });
  for (let message = hear(); message; message = hear()) {
    if (message.kind === TO_ENCODER.end) {
      say({ kind: FROM_ENCODER.ended });
      return;
    }
    handle(encoder, message);
    say({ kind: FROM_ENCODER.taken, count: message.kind });
  }
}

function handle(encoder: LiveEncoder, { kind, rendition, count, body }: WireMessage): void {
  switch (kind) {
    case TO_ENCODER.picture:
      encoder.encode(body, count);
      break;
    case TO_ENCODER.repeat:
      for (let i = 0; i < count; i++) encoder.repeat();
      break;
    case TO_ENCODER.still:
      encoder.show(pictureOf(encoder, rendition, body));
      break;
    case TO_ENCODER.below:
      encoder.merger?.setBelow(body);
      break;
    case TO_ENCODER.above:
      encoder.merger?.setAbove(body);
      break;
    default:
      throw new Error(`a message of unknown kind ${kind}`);
  }
}

function pictureOf({ width, height }: LiveEncoder, codec: number, body: Buffer): Frame {
  return stillPicture(codec === 0 ? 'vp8' : 'h264', body) ?? blackPicture(width, height);
}

/** `undefined` when the service has gone. */
function hear(): WireMessage | undefined {
  const header = Buffer.alloc(WIRE_HEADER_BYTES);
  if (!readFully(header)) return undefined;
  const { bodyBytes, ...head } = readWireHeader(header);
  if (room.length < bodyBytes) room = Buffer.alloc(bodyBytes);
  const body = room.subarray(0, bodyBytes);
  return readFully(body) ? { ...head, body } : undefined;
}

function readFully(into: Buffer): boolean {
  for (let at = 0; at < into.length; ) {
    const count = readSync(STDIN, into, at, into.length - at, null);
    if (count === 0) return false;
    at += count;
  }
  return true;
}

function say(head: WireHead, body: Buffer = NOTHING): void {
  const message = Buffer.concat([wireHeader(head, body.length), body]);
  for (let at = 0; at < message.length; ) at += writeSync(STDOUT, message, at);
}

try {
  main();
} catch (error) {
  const code: ErrorCode = error instanceof BadFrame ? 'live_frame_corrupt' : 'encoder_failed';
  say({ kind: FROM_ENCODER.failed }, Buffer.from(JSON.stringify({ code, message: (error as Error).message })));
  process.exitCode = 1;
}
