import { setTimeout as sleep } from 'node:timers/promises';
import { type NewSession, type SessionEvent } from '@humancast/protocol';
import { LightViewer, Producer, type Stack, type StackProcess } from '@humancast/testkit';
import type { FaultScene } from './faults.ts';
import { PlaybackLog, type ReferenceClip } from './playback-log.ts';
import { SpeechLoop } from './speech-loop.ts';

const EVENTS_QUIET_MS = 500;

/** A session with one viewer and continuous speech. */
export interface LoadSession {
  readonly session: NewSession;
  readonly speech: SpeechLoop;
  readonly playback: PlaybackLog;
  viewer: LightViewer;
}

export interface SessionLoadOptions {
  readonly stack: Stack;
  readonly avatar: string;
  readonly sessions: number;
  /** Name of the segment, in the watched folder. */
  readonly segmentName: string;
  readonly segmentMs: number;
  readonly clip: (segment: string) => Promise<ReferenceClip>;
}

/** Generates load: sessions that speak continuously, each with a viewer. Records accepted segments and shown frames. */
export class SessionLoad implements FaultScene {
  readonly stack: Stack;
  readonly producer: Producer;
  readonly sessions: LoadSession[] = [];

  private constructor(stack: Stack) {
    this.stack = stack;
    this.producer = new Producer(stack);
  }

  static async start({
    stack,
    avatar,
    sessions,
    segmentName,
    segmentMs,
    clip,
  }: SessionLoadOptions): Promise<SessionLoad> {
    const load = new SessionLoad(stack);
    let reference: ReferenceClip | undefined;
    for (let i = 0; i < sessions; i++) {
      const session = await load.producer.createSession(avatar);
      const segment = await load.producer.segmentNamed(session.id, segmentName);
      reference ??= await clip(segment);
      const playback = new PlaybackLog(reference);
      const { signalingUrls, apiKey } = stack;
      const speech = new SpeechLoop({ signalingUrls, apiKey, session: session.id, segment, intervalMs: segmentMs });
      load.sessions.push({ session, speech, playback, viewer: load.open(session, playback) });
    }
    return load;
  }

  open(session: NewSession, playback: PlaybackLog): LightViewer {
    const { id, token } = session;
    const onFrame = (frame: Parameters<PlaybackLog['add']>[0]) => playback.add(frame);
    return new LightViewer({ signalingUrls: this.stack.signalingUrls, session: id, token, digests: true, onFrame });
  }

  replaceViewers(count: number, options: { silently: boolean }): void {
    for (const session of this.sessions.slice(0, count)) {
      session.viewer.close(options);
      session.viewer = this.open(session.session, session.playback);
    }
  }

  expectEnd(): void {}

  async revive(process: StackProcess): Promise<void> {
    await this.stack.revive(process);
  }

  get viewers(): LightViewer[] {
    return this.sessions.map(({ viewer }) => viewer);
  }

  /** @returns the sessions whose viewer does not play within the time. */
  async untilAllPlay(timeoutMs: number): Promise<LoadSession[]> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const missing = this.sessions.filter(({ viewer }) => !viewer.playing);
      if (missing.length === 0 || performance.now() > deadline) return missing;
      await sleep(50);
    }
  }

  /** Stops queueing speech. @returns the sessions whose queue did not drain in time. */
  async fallSilent(timeoutMs: number): Promise<string[]> {
    await Promise.all(this.sessions.map(({ speech }) => speech.stop()));
    const deadline = performance.now() + timeoutMs;
    let waiting = this.sessions.map(({ session }) => session.id);
    while (waiting.length > 0 && performance.now() < deadline) {
      await sleep(200);
      const queued = await Promise.all(waiting.map((id) => this.#queueLength(id)));
      waiting = waiting.filter((_, i) => queued[i] !== 0);
    }
    return waiting;
  }

  /** Closes all viewers and ends all sessions. */
  async stop(): Promise<void> {
    await Promise.all(this.sessions.map(({ speech }) => speech.stop()));
    for (const { viewer } of this.sessions) viewer.close();
    await Promise.all(this.sessions.map(({ session }) => this.producer.endSession(session.id)));
  }

  /** @returns all events of a session so far. */
  async eventsOf(session: string): Promise<SessionEvent[]> {
    const abort = new AbortController();
    const response = await fetch(`${this.stack.signalingUrl}/v1/sessions/${session}/events?from=start`, {
      headers: { authorization: `Bearer ${this.stack.apiKey}` },
      signal: abort.signal,
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    // Past events arrive at once; silence means that there are no more.
    for (;;) {
      const chunk = await Promise.race([reader?.read(), sleep(EVENTS_QUIET_MS, undefined)]);
      if (!chunk || chunk.done) break;
      text += chunk.value;
    }
    abort.abort();
    return text
      .split('\n')
      .flatMap((line) => (line.startsWith('data:') ? [JSON.parse(line.slice(5)) as SessionEvent] : []));
  }

  async #queueLength(session: string): Promise<number> {
    const response = await fetch(`${this.stack.signalingUrl}/v1/sessions/${session}`, {
      headers: { authorization: `Bearer ${this.stack.apiKey}` },
    });
    return response.ok ? ((await response.json()) as { queue: unknown[] }).queue.length : -1;
  }
}

/** @returns the faults in the events of a session to which these queue positions were promised. */
export function eventFaults(events: readonly SessionEvent[], accepted: readonly number[]): string[] {
  const faults: string[] = [];
  const count = (type: 'speech.started' | 'speech.finished', seq: number) =>
    events.filter((event) => event.type === type && event.seq === seq).length;
  const seqs = new Set(accepted);
  for (const event of events) if (event.type === 'speech.finished') seqs.add(event.seq);
  for (const seq of seqs) {
    const finished = count('speech.finished', seq);
    if (finished !== 1) faults.push(`segment ${seq} was reported as over ${finished} times`);
    if (count('speech.started', seq) > 1) faults.push(`segment ${seq} was reported as begun more than once`);
  }
  return faults;
}

/** @returns packets of an older host that arrived after the first of a newer one. */
export function overlapsMs({ record }: LightViewer): number[] {
  return record.links.slice(1).flatMap((link, i) => {
    const older = record.links[i];
    if (!older || older.epoch === link.epoch) return [];
    return Math.max(0, (older.lastPacketMs ?? 0) - (link.firstPacketMs ?? 0));
  });
}
