import {
  liveProducerMessageSchema,
  SDP_LIMIT_BYTES,
  sdpSchema,
  signalMessageSchema,
  viewerMessageSchema,
} from '@humancast/protocol';
import { type FuzzRandom, fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import type { z } from 'zod';
import { readRecord } from '../records/read-record.js';
import { viewerRecordSchema } from '../sessions/session.js';
import { segmentJobSchema, sessionJobSchema, viewerJobSchema } from './jobs.js';
import { toSenderSchema, toSignalingSchema } from './mail.js';

const SESSION = 'ses_0123456789ab';
const VIEWER = 'vw_0123456789ab';
const SENDER = 'snd_0123456789ab';
const CONNECTION = 'connection-1';
const CANDIDATE = { candidate: 'candidate:1 1 udp 1 192.0.2.1 9 typ host', sdpMid: '0', sdpMLineIndex: 0 };
const REPORT = { skewMs: 1, trimMs: { audio: 1, video: 2 }, freezes: 0, packetsLost: -1, firstFrameMs: 100 };
const OF_VIEWER = { session: SESSION, viewer: VIEWER, connection: CONNECTION };

/** Messages from viewers, producers and other services, each with its parser. */
const READERS: readonly (readonly [name: string, schema: z.ZodType<unknown, unknown>, examples: readonly object[]])[] =
  [
    [
      'a viewer',
      viewerMessageSchema,
      [
        { type: 'join', session: SESSION, token: 'a.b.c', connection: CONNECTION },
        { type: 'answer', connection: CONNECTION, sdp: 'v=0\r\n' },
        { type: 'candidate', connection: CONNECTION, candidate: CANDIDATE },
        { type: 'report', connection: CONNECTION, report: REPORT },
        { type: 'reconnect' },
        { type: 'interrupt' },
        { type: 'message', data: { page: 2, tags: ['a', null] } },
        { type: 'ping' },
      ],
    ],
    [
      'a live producer',
      liveProducerMessageSchema,
      [
        {
          type: 'start',
          fps: 25,
          width: 640,
          height: 360,
          pixelFormat: 'i420',
          sampleRate: 16_000,
          sampleFormat: 's16',
          name: 'name',
        },
        { type: 'end' },
      ],
    ],
    [
      'signaling to a sender',
      toSenderSchema,
      [
        { type: 'viewers.changed', session: SESSION },
        { type: 'viewers.changed', session: SESSION, viewer: VIEWER },
        { type: 'viewer.answer', ...OF_VIEWER, sdp: 'v=0\r\n' },
        { type: 'viewer.report', ...OF_VIEWER, report: REPORT },
        { type: 'session.interrupt', session: SESSION, seq: 3 },
        { type: 'session.inspect', session: SESSION, request: 'r', replyTo: 'a', viewers: [VIEWER] },
      ],
    ],
    [
      'a sender to signaling',
      toSignalingSchema,
      [
        { type: 'viewer.offer', ...OF_VIEWER, epoch: 1, sdp: 'v=0\r\n', sender: SENDER },
        { type: 'viewer.answered', ...OF_VIEWER, epoch: 1, sdp: 'v=0\r\n', sender: SENDER },
        { type: 'viewer.closed', ...OF_VIEWER, epoch: 1, reason: 'left' },
        { type: 'viewer.error', session: SESSION, viewer: VIEWER, epoch: 1, code: 'bad_sdp', message: 'no' },
      ],
    ],
    [
      'signaling to a viewer',
      signalMessageSchema,
      [{ type: 'offer', connection: CONNECTION, epoch: 1, sdp: 'v=0\r\n' }],
    ],
    ['the queue of sessions', sessionJobSchema, [{ session: SESSION, epoch: 1 }]],
    ['the queue of segments', segmentJobSchema, [{ session: SESSION, seq: 1, segment: 'seg_0123456789ab' }]],
    ['the queue of viewers', viewerJobSchema, [{ session: SESSION, viewer: VIEWER, attempt: 1 }]],
    [
      'the viewers of a session',
      viewerRecordSchema,
      [{ viewer: VIEWER, mailbox: 'sig_1', attempt: 1, joinedAtMs: 1, sender: SENDER }],
    ],
  ];

const ODD: readonly unknown[] = [null, [], {}, '', -1, 1e308, 2 ** 53, 0.5, true, '\u0000', 'x'.repeat(70_000)];

/** Inserts an invalid value or an unknown member somewhere into a message. */
function distort(value: unknown, random: FuzzRandom): unknown {
  if (typeof value !== 'object' || value === null || random.chance(0.2)) return random.pick(ODD);
  const members = Object.entries(value);
  const at = random.below(members.length + 1);
  if (at === members.length)
    return { ...value, [random.pick(['__proto__', 'constructor', 'v', 'type'])]: random.pick(ODD) };
  return Object.fromEntries(members.map(([key, member], i) => [key, i === at ? distort(member, random) : member]));
}

describe('messages', () => {
  it.each(READERS)(
    'to %s are accepted or rejected without an exception, whatever they contain',
    { timeout: fuzzTimeoutMs() },
    async (_name, schema, examples) => {
      for (const example of examples) expect(schema.safeParse(example).success, JSON.stringify(example)).toBe(true);
      const corpus = examples.map((example) => JSON.stringify(example));
      const { runs } = await fuzz({ corpus, runs: 2000, seconds: 2 }, (input, random) => {
        const distorted = distort(random.pick(examples), random);
        expect(() => schema.safeParse(distorted)).not.toThrow();
        // As read from Redis.
        expect(() => readRecord('job', 'fuzz', schema, input.toString())).not.toThrow();
        expect(() => readRecord('job', 'fuzz', schema, distorted)).not.toThrow();
      });
      expect(runs).toBeGreaterThan(100);
    },
  );

  it('may nest as deeply as their length allows', () => {
    const deep = `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`;
    for (const [, schema] of READERS) {
      expect(schema.safeParse(JSON.parse(deep)).success).toBe(false);
      expect(schema.safeParse({ type: 'report', report: JSON.parse(deep) }).success).toBe(false);
    }
  });

  it('limit a description by bytes', () => {
    expect(sdpSchema.safeParse('é'.repeat(SDP_LIMIT_BYTES / 2)).success).toBe(true);
    expect(sdpSchema.safeParse('é'.repeat(SDP_LIMIT_BYTES / 2 + 1)).success).toBe(false);
    expect(sdpSchema.safeParse('').success).toBe(false);
  });
});
