import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { HumancastError } from '@humancast/shared';
import { type FuzzRandom, fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clips } from '../../testing/clips.js';
import { API_KEY, TestLoader } from '../../testing/start-test-loader.js';
import { receiveUpload } from './receive-upload.js';

const BOUNDARY = 'fuzz-boundary-7';
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`;
const PARSER = { runs: 3000, seconds: 5 };
const DOOR = { runs: 150, seconds: 8 };
const COMPOSITION = JSON.stringify({
  width: 640,
  height: 360,
  layout: 'grid',
  layers: [{ input: 'main' }, { input: 'logo' }],
});

function form(...parts: (readonly [name: string, content: Buffer | string, fileName?: string])[]): Buffer {
  const all = parts.flatMap(([name, content, fileName]) => [
    `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"${fileName ? `; filename="${fileName}"` : ''}\r\n`,
    `${fileName ? 'content-type: video/mp4\r\n' : ''}\r\n`,
    content,
    '\r\n',
  ]);
  return Buffer.concat(
    [...all, `--${BOUNDARY}--\r\n`].map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)),
  );
}

const CORPUS = [
  form(['file', 'some bytes', 'a.mp4']),
  form(['video', 'image', 'v.mp4'], ['audio', 'audio', 'a.wav']),
  form(['composition', COMPOSITION], ['main', 'image', 'm.mp4'], ['logo', 'png', 'l.png']),
  form(['composition', COMPOSITION, 'c.json'], ['main', 'image', 'm.mp4'], ['logo', 'png', 'l.png']),
  form(['stray', 'field'], ['file', Buffer.alloc(3000, 5), 'a.mp4']),
];

/** Yields a body in pieces, as a socket does. */
function requestOf(body: Buffer, random: FuzzRandom): IncomingMessage {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const piece = body.subarray(at, at + 1 + random.below(1000));
    pieces.push(piece);
    at += piece.length;
  }
  return Object.assign(Readable.from(pieces), { headers: { 'content-type': TYPE }, complete: true }) as never;
}

describe('mutated multipart bodies', () => {
  const clips = new Clips();
  let folder: string;
  let loader: TestLoader;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-upload-fuzz-'));
    loader = await TestLoader.start();
    await loader.defineAvatar('ann');
  });
  afterAll(async () => {
    await loader.stop();
    clips.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  it(
    'are received or rejected with a 4xx, and all scratch files are freed',
    async () => {
      const opened = () => readdirSync('/proc/self/fd').length;
      const before = opened();
      let received = 0;
      const { runs } = await fuzz({ ...PARSER, corpus: CORPUS }, async (input, random) => {
        const limits = { limitBytes: 10_000, scratchDir: folder, idleMs: 2000, signal: new AbortController().signal };
        try {
          const upload = await receiveUpload(requestOf(input, random), limits);
          received++;
          await upload.close();
        } catch (error) {
          rejectedAsTheirs(error);
        }
      });
      expect(runs).toBeGreaterThan(0);
      expect(received).toBeGreaterThan(0);
      expect(readdirSync(folder)).toEqual([]);
      expect(opened()).toBeLessThan(before + 20);
    },
    fuzzTimeoutMs(PARSER),
  );

  it(
    'never cause a 5xx, and later uploads still work',
    async () => {
      const clip = await readFile(await clips.test('clip.mp4', { seconds: 1, size: '64x64' }));
      const corpus = [...CORPUS, form(['file', clip, 'clip.mp4'])];
      const statuses = new Map<number, number>();
      const { runs } = await fuzz({ ...DOOR, corpus, maxBytes: 400_000 }, async (input) => {
        const status = await post(loader.url, input);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status >= 500) throw new Error(`answered ${status}`);
      });
      expect(runs).toBeGreaterThan(0);
      expect(statuses.size).toBeGreaterThan(1);
      expect(await post(loader.url, form(['file', clip, 'clip.mp4']))).toBe(201);
    },
    fuzzTimeoutMs(DOOR),
  );
});

/** Sends raw bytes. @returns The status. */
function post(url: string, body: Buffer): Promise<number> {
  const { port } = new URL(url);
  const head = [
    'POST /v1/segments?avatar=ann HTTP/1.1',
    'host: loader',
    `authorization: Bearer ${API_KEY}`,
    `content-type: ${TYPE}`,
    `content-length: ${body.length}`,
    'connection: close',
  ];
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), '127.0.0.1', () => {
      socket.write(`${head.join('\r\n')}\r\n\r\n`);
      socket.write(body);
    });
    const answer: Buffer[] = [];
    socket.on('data', (data: Buffer) => answer.push(data));
    socket.once('error', reject);
    socket.once('close', () => {
      const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(Buffer.concat(answer).toString('latin1'))?.[1]);
      if (Number.isNaN(status)) reject(new Error('no answer'));
      else resolve(status);
    });
  });
}

function rejectedAsTheirs(error: unknown): void {
  if (!(error instanceof HumancastError) || error.status >= 500) throw error;
}
