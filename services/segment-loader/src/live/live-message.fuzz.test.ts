import { liveStartSchema } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';
import { fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { expect, it } from 'vitest';
import { ByteQueue } from '../encode/byte-queue.js';
import { parsePlaylist } from '../library/playlist-file.js';
import { AudioIntake } from './audio-intake.js';
import { FROM_ENCODER, readWireHeader, WIRE_HEADER_BYTES, wireHeader } from './encoder/wire.js';
import { checkFrameSize, frameRateOf, parseBinary, parseText } from './live-message.js';

const START = {
  type: 'start',
  name: 'hello',
  fps: 29.97,
  width: 640,
  height: 360,
  pixelFormat: 'bgr24',
  sampleRate: 24_000,
  sampleFormat: 'f32',
  interrupt: true,
} as const;
const RATIONAL = { ...START, fps: { num: 30_000, den: 1001 }, pixelFormat: 'jpeg', sampleFormat: 's16' };
const BUDGET = { runs: 20_000, seconds: 3 };

/** Runs a parser and rethrows all errors except 4xx ones. */
function expectParsedOrRejected(parse: () => void): void {
  try {
    parse();
  } catch (error) {
    if (!(error instanceof HumancastError) || error.status >= 500) throw error;
  }
}

it(
  'text messages of a live push are parsed or rejected with a 4xx',
  async () => {
    let started = 0;
    const corpus = [START, RATIONAL, { type: 'end' }].map((message) => JSON.stringify(message));
    const { runs } = await fuzz({ ...BUDGET, corpus }, (input) =>
      expectParsedOrRejected(() => {
        const message = parseText(input.toString());
        if (message.type !== 'start') return;
        started++;
        const { num, den } = frameRateOf(message.fps);
        if (!(num / den > 0 && Number.isInteger(num) && Number.isInteger(den))) throw new Error(`${num}/${den}`);
        checkFrameSize(message, input.length);
      }),
    );
    expect(runs).toBeGreaterThan(0);
    expect(started).toBeGreaterThan(0);
  },
  fuzzTimeoutMs(BUDGET),
);

it(
  'binary messages of a live push are video, audio, or rejected with a 4xx',
  async () => {
    const corpus = [Buffer.from([1, 0, 0, 0, ...Array(64).fill(7)]), Buffer.from([2, 0, 0, 0, ...Array(96).fill(9)])];
    const kinds = { video: 0, audio: 0 };
    const start = liveStartSchema.parse(START);
    const { runs } = await fuzz({ ...BUDGET, corpus }, (input) => {
      const intakes = (['s16', 'f32'] as const).map((sampleFormat) => new AudioIntake({ ...start, sampleFormat }));
      for (const intake of intakes) {
        expectParsedOrRejected(() => {
          const { kind, body } = parseBinary(input);
          kinds[kind]++;
          if (kind === 'audio') intake.push(body);
          else checkFrameSize(start, body.length);
        });
      }
    });
    expect(runs).toBeGreaterThan(0);
    expect(Math.min(kinds.video, kinds.audio)).toBeGreaterThan(0);
  },
  fuzzTimeoutMs(BUDGET),
);

it(
  "the encoder's messages are read from a stream cut anywhere",
  async () => {
    const body = Buffer.alloc(40, 1);
    const message = Buffer.concat([wireHeader({ kind: FROM_ENCODER.frame, count: 3 }, body.length), body]);
    const { runs } = await fuzz(
      { ...BUDGET, corpus: [Buffer.concat([message, message, message])] },
      (input, random) => {
        const queue = new ByteQueue();
        for (let at = 0; at < input.length; ) {
          const piece = input.subarray(at, at + 1 + random.below(50));
          queue.push(piece);
          at += piece.length;
          const header = queue.take(WIRE_HEADER_BYTES);
          if (header) queue.take(readWireHeader(header).bodyBytes);
        }
      },
    );
    expect(runs).toBeGreaterThan(0);
  },
  fuzzTimeoutMs(BUDGET),
);

it(
  'playlists of any bytes give names that are neither empty nor comments',
  async () => {
    const { runs } = await fuzz({ ...BUDGET, corpus: ['\uFEFF#EXTM3U\r\na.mp4\n\n  b.webm \nc.mov'] }, (input) => {
      for (const { entry: name } of parsePlaylist(input)) {
        if (name === '' || name.startsWith('#') || name.includes('\n')) throw new Error(JSON.stringify(name));
      }
    });
    expect(runs).toBeGreaterThan(0);
  },
  fuzzTimeoutMs(BUDGET),
);
