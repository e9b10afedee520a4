import { readSync, writeSync } from 'node:fs';
import type { ErrorCode } from '@humancast/protocol';
import { AV_LOG_ERROR } from 'node-av/constants';
import { type Frame, Log } from 'node-av/lib';
import { LiveEncoder } from './live-encoder.js';
import { BadFrame, stillFrame } from './video-reader.js';
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
 * The encoder of one live push, in a process of its own so that a crashing codec affects nothing else. It reads, encodes and
 * writes synchronously without an event loop; blocked input or output just suspends it.
 */
const STDIN = 0;
const STDOUT = 1;
const NOTHING: Buffer = Buffer.alloc(0);
/** Buffer that is reused for the bodies of large messages. */
let room: Buffer = Buffer.alloc(0);

function main(): void {
  Log.setLevel(AV_LOG_ERROR);
  LiveEncoder.warmUp();
  send({ kind: FROM_ENCODER.ready });
  const setup = receive();
  if (setup?.kind !== TO_ENCODER.setup) return;
  const encoder = new LiveEncoder(JSON.parse(setup.body.toString()) as EncoderSetup, {
    onFrame: ({ rendition, keyframe, number, data }) =>
      send({ kind: FROM_ENCODER.frame, rendition, keyframe, count: number }, data),
    onRenditions: (count) => send({ kind: FROM_ENCODER.renditions, rendition: count }),
  });
  send({ kind: FROM_ENCODER.ready });
  for (let message = receive(); message; message = receive()) {
    if (message.kind === TO_ENCODER.end) {
      send({ kind: FROM_ENCODER.ended });
      return;
    }
    handle(encoder, message);
    send({ kind: FROM_ENCODER.taken, count: message.kind });
  }
}

function handle(encoder: LiveEncoder, { kind, rendition, count, body }: WireMessage): void {
  switch (kind) {
    case TO_ENCODER.frame:
      encoder.encode(body, count);
      break;
    case TO_ENCODER.repeat:
      encoder.repeat(count);
      break;
    case TO_ENCODER.still:
      showStill(encoder, stillFrame(rendition === 0 ? 'vp8' : 'h264', body), count === 1);
      break;
    case TO_ENCODER.below:
      encoder.merger?.setBelow(body);
      break;
    case TO_ENCODER.above:
      encoder.merger?.setAbove(body);
      break;
    default:
      throw new Error(`unknown message kind ${kind}`);
  }
}

function showStill(encoder: LiveEncoder, still: Frame | undefined, isStacked: boolean): void {
  if (still) encoder.show(still, isStacked);
  else encoder.show(encoder.empty());
}

/** @returns `undefined` once the service has closed its end. */
function receive(): WireMessage | undefined {
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

function send(head: WireHead, body: Buffer = NOTHING): void {
  const message = Buffer.concat([wireHeader(head, body.length), body]);
  for (let at = 0; at < message.length; ) at += writeSync(STDOUT, message, at);
}

try {
  main();
} catch (error) {
  const code: ErrorCode = error instanceof BadFrame ? 'live_frame_corrupt' : 'encoder_failed';
  send({ kind: FROM_ENCODER.failed }, Buffer.from(JSON.stringify({ code, message: (error as Error).message })));
  process.exitCode = 1;
}
