import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SessionEvent } from '@humancast/protocol';
import {
  LightViewer,
  makeTestClip,
  type PastEvent,
  Producer,
  type Stack,
  type StackProcess,
  startStack,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventFaults } from '../bench/faults/session-load.ts';
import { SpeechLoop } from '../bench/faults/speech-loop.ts';
import { buildPreviousVersion } from './upgrade/previous-version.js';

const ROOT = join(import.meta.dirname, '..');
const SEGMENT_SECONDS = 2;
/** A hand-over leaves no gap, but a busy machine may. A viewer that lost its connection requests a new one after 4 s. */
const LONGEST_GAP_MS = 3000;

/**
 * One Redis, two versions: each process of the previous version is replaced by the current one, and then the other way
 * round.
 */
describe('update and rollback', () => {
  let previous: string;
  let stack: Stack;
  let producer: Producer;
  let session: { id: string; token: string };
  let speech: SpeechLoop;
  let viewers: LightViewer[];
  /** Metrics of each process, read before it is replaced or at the end. */
  const metrics: string[] = [];
  const logs: string[] = [];
  const stopped = new Set<StackProcess>();

  beforeAll(async () => {
    previous = buildPreviousVersion();
    stack = await startStack({ root: previous, signalings: 2, turn: false });
    producer = new Producer(stack);
    makeTestClip(join(stack.mediaDir, 'lights/idle/red.mp4'), { color: 'red', seconds: 2, size: '160x120' });
    await producer.idleLoaded('lights');
    session = await producer.createSession('lights');
    // One viewer at each signaling process; both lose their connection, at different times.
    viewers = [stack.signalingUrls, stack.signalingUrls.toReversed()].map(
      (signalingUrls) => new LightViewer({ signalingUrls, session: session.id, token: session.token }),
    );
    await allPlay();
    speech = talk(await upload('before.mp4'));
  }, 120_000);

  afterAll(async () => {
    for (const viewer of viewers ?? []) viewer.close();
    await speech?.stop();
    await stack?.stop();
  });

  it('viewers keep their session, their viewer id and their video', async () => {
    await roll(ROOT);
    await speech.stop();
    const { accepted } = speech;
    // After the rollback, the old version plays what the new one has stored.
    speech = talk(await upload('between.mp4'));
    await roll(previous);
    await speech.stop();
    speech.accepted.unshift(...accepted);

    for (const { record } of viewers) {
      expect(record).toMatchObject({ endReason: undefined, reconnects: 0 });
      expect(record.longestGapMs, JSON.stringify(record.gaps)).toBeLessThan(LONGEST_GAP_MS);
      expect(record.links.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    }
  }, 120_000);

  it('each queued segment is spoken once, and each event is delivered', async () => {
    expect(speech.accepted.length).toBeGreaterThan(5);
    const isOver = (events: PastEvent[]) =>
      events.filter(({ type }) => type === 'speech.finished').length === speech.accepted.length;
    const events = await waitFor(
      'all queued segments are finished',
      () => producer.pastEvents(session.id),
      isOver,
      60_000,
    );
    expect(eventFaults(events as unknown as SessionEvent[], speech.accepted)).toEqual([]);
    const reasons = events.flatMap(({ type, reason }) => (type === 'speech.finished' ? [reason] : []));
    expect(new Set(reasons)).toEqual(new Set(['finished']));
    expect(events.filter(({ type }) => type === 'session.moved')).toHaveLength(2);
    expect(events.filter(({ type }) => type === 'events.missed')).toEqual([]);
  }, 90_000);

  it('neither version leaves a record that the other cannot read', async () => {
    for (const process of stack.processes) await keepReport(process);
    expect(metrics).toHaveLength(12);
    // Events and messages of a new type may be unreadable to the old version; nothing else may.
    const lost = metrics
      .flatMap((text) => text.split('\n'))
      .filter((line) => /^humancast_unreadable_records_total\{.*kind="(?!event|message)/.test(line));
    expect(lost).toEqual([]);
    expect(logs.flatMap((log) => log.split('\n')).filter((line) => /"level":"(error|fatal)"/.test(line))).toEqual([]);
  });

  function talk(segment: string): SpeechLoop {
    const { signalingUrls, apiKey } = stack;
    const intervalMs = SEGMENT_SECONDS * 1000;
    return new SpeechLoop({ signalingUrls, apiKey, session: session.id, segment, intervalMs });
  }

  async function upload(name: string): Promise<string> {
    const path = join(stack.mediaDir, '..', name);
    makeTestClip(path, { color: 'blue', seconds: SEGMENT_SECONDS, size: '160x120', toneHz: 440 });
    return (await producer.upload('lights', name, await readFile(path))).id;
  }

  /** Replaces one process at a time, as an orchestrator does: a media-sender's replacement starts before it stops. */
  async function roll(root: string): Promise<void> {
    await replace(only('segment-loader'), root);
    for (const signaling of named('signaling')) {
      await replace(signaling, root);
      await allPlay();
    }
    const sender = only('media-sender');
    await stack.addSender(root);
    await stop(sender);
    await allPlay();
  }

  async function replace(process: StackProcess, root: string): Promise<void> {
    await stop(process);
    await stack.revive(process, root);
  }

  async function stop(process: StackProcess): Promise<void> {
    await keepReport(process);
    process.signal('SIGTERM');
    await process.ended;
    stopped.add(process);
  }

  async function keepReport(process: StackProcess): Promise<void> {
    if (stopped.has(process)) return;
    const response = await fetch(`${process.metricsUrl}/metrics`);
    metrics.push(await response.text());
    logs.push(process.log());
  }

  /** Waits until both viewers show frames that arrived after the call. */
  async function allPlay(): Promise<void> {
    const before = viewers.map(({ record }) => record.frames);
    await waitFor(
      'the video of both viewers continues',
      async () => viewers.map(({ record, playing }, i) => playing && record.frames > (before[i] ?? 0) + 15),
      (moving) => moving.every((is) => is),
      30_000,
    );
  }

  const named = (name: string) => stack.processes.filter((process) => process.name === name && !stopped.has(process));

  function only(name: string): StackProcess {
    const [found, ...others] = named(name);
    if (!found || others.length > 0) throw new Error(`not one ${name}`);
    return found;
  }
});
