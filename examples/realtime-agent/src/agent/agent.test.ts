import { type FaceCamera, IdlePoses } from '@humancast/demo-face';
import { type Humancast, type LiveOptions, ProducerError, type SessionEvent } from '@humancast/producer';
import type { Logger } from '@humancast/shared';
import { afterEach, describe, expect, it } from 'vitest';
import type { ClientEvent, ServerEvent } from '../realtime/messages.js';
import { toBase64 } from '../realtime/pcm.js';
import { Agent } from './agent.js';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} } as unknown as Logger;
const agents: Agent[] = [];
afterEach(() => {
  for (const agent of agents.splice(0)) agent.close();
});

/** A session whose events the test tells, and a model whose events it sends. */
function open() {
  const told: SessionEvent[] = [];
  const session = {
    turn: 0,
    pushes: [] as LiveOptions[],
    texts: [] as unknown[],
    interrupts: [] as (number | undefined)[],
    deleted: 0,
  };
  let wake = () => {};
  async function* events(_: string, { signal }: { signal?: AbortSignal }): AsyncGenerator<SessionEvent> {
    signal?.addEventListener('abort', () => wake());
    while (!signal?.aborted) {
      const event = told.shift();
      if (event) yield event;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }
  async function* listen(_: string, { signal }: { signal?: AbortSignal }): AsyncGenerator<never> {
    await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));
  }
  const interrupted = () => {
    session.turn++;
    tell({ type: 'session.interrupted', interruptedSeq: 1, turn: session.turn });
  };
  const humancast = {
    events,
    listen,
    session: async () => ({}),
    setState: async () => {},
    deleteSegment: async () => void session.deleted++,
    interrupt: async (_: string, { turn }: { turn?: number }) => {
      session.interrupts.push(turn);
      if (turn !== session.turn) throw new ProducerError('interrupted', 'over');
      interrupted();
    },
    live: async (options: LiveOptions) => {
      if (options.turn !== session.turn) throw new ProducerError('interrupted', 'over');
      session.pushes.push(options);
      const never = new AbortController().signal;
      const push = { segment: `seg_${session.pushes.length}`, interrupted: never, cancel: () => {} };
      const nothing = async () => {};
      const pushText = async (...text: unknown[]) => void session.texts.push(text);
      return { ...push, pushAudio: nothing, pushVideo: nothing, pushText, end: nothing };
    },
  } as unknown as Humancast;
  const tell = (event: Record<string, unknown>) => {
    told.push(event as unknown as SessionEvent);
    wake();
  };
  const sent: ClientEvent[] = [];
  const agent = new Agent(0, {
    humancast,
    session: 'ses_1',
    avatar: 'demo',
    camera: { size: 2, frameOf: () => Buffer.alloc(6) } as unknown as FaceCamera,
    idlePoses: new IdlePoses(async () => ''),
    send: (event) => sent.push(event),
    logger: silent,
  });
  agents.push(agent);
  const running = agent.run();
  const hear = (event: ServerEvent) => agent.onRealtimeEvent(event);
  /** The model answers with two seconds of audio. */
  const answer = (id: string) => {
    hear({ type: 'response.created', response: { id } });
    hear({ type: 'response.output_audio_transcript.delta', response_id: id, delta: `Answer ${id}.` });
    const delta = toBase64(new Int16Array(48_000));
    hear({ type: 'response.output_audio.delta', response_id: id, item_id: `item_${id}`, content_index: 0, delta });
  };
  const done = (id: string) => hear({ type: 'response.done', response: { id, status: 'completed' } });
  const finished = (segment: string, reason: string, positionMs: number) =>
    tell({ type: 'speech.finished', seq: 1, segment, reason, positionMs, interrupted: reason !== 'finished' });
  const speechStarted = () => hear({ type: 'input_audio_buffer.speech_started', audio_start_ms: 0 });
  const truncations = () =>
    sent.flatMap((event) => (event.type === 'conversation.item.truncate' ? [[event.item_id, event.audio_end_ms]] : []));
  return { agent, session, sent, running, tell, answer, done, finished, speechStarted, truncations, interrupted };
}

describe('Agent', () => {
  it('interrupts the turn of its answer when the viewer speaks, and lets the model forget what was not heard', async () => {
    const { session, answer, done, speechStarted, finished, truncations, sent } = open();
    answer('a');
    done('a');
    await expect.poll(() => session.pushes.length).toBe(1);
    speechStarted();
    expect(session.interrupts).toEqual([0]);
    finished('seg_1', 'interrupted', 1234.5);
    await expect.poll(truncations).toEqual([['item_a', 1234]]);
    expect(sent.some(({ type }) => type === 'response.cancel')).toBe(false);
    answer('b');
    await expect.poll(() => session.pushes.map(({ turn }) => turn)).toEqual([0, 1]);
    expect(session.deleted).toBe(1);
  });

  it('stops the model when somebody else interrupts, and does not interrupt again', async () => {
    const { session, answer, speechStarted, interrupted, truncations, finished, sent } = open();
    answer('a');
    await expect.poll(() => session.pushes.length).toBe(1);
    interrupted();
    await expect.poll(() => sent.some(({ type }) => type === 'response.cancel')).toBe(true);
    speechStarted();
    expect(session.interrupts).toEqual([]);
    finished('seg_1', 'interrupted', 700);
    await expect.poll(truncations).toEqual([['item_a', 700]]);
  });

  it('never speaks an answer that was made for an earlier turn: nothing of it was heard', async () => {
    const { session, answer, truncations } = open();
    session.turn = 1;
    answer('a');
    await expect.poll(truncations).toEqual([['item_a', 0]]);
    expect(session.pushes).toEqual([]);
  });

  it('lets the model keep an answer that was heard to its end', async () => {
    const { session, answer, done, finished, truncations } = open();
    answer('a');
    done('a');
    await expect.poll(() => session.pushes.length).toBe(1);
    finished('seg_1', 'finished', 2400);
    await expect.poll(() => session.deleted).toBe(1);
    expect(truncations()).toEqual([]);
  });

  it('pushes the words of an answer with the time in which its audio says them', async () => {
    const { session, answer, done } = open();
    answer('a');
    done('a');
    await expect.poll(() => session.texts).toEqual([['Answer a.', { atMs: 0, untilMs: 2000 }]]);
  });

  it('ends with its session', async () => {
    const { running, tell } = open();
    tell({ type: 'session.ended', reason: 'deleted' });
    await running;
  });
});
