import { type ViewerReport } from '@humancast/protocol';
import {
  type Inspection,
  type Playhead,
  type QueuedSegment,
  type SessionRecord,
  type SessionRegistry,
  samplesToMs,
  type ViewerRecord,
} from '@humancast/shared';
import type { Inspector } from '../routing/inspector.js';

/** A session in a list. */
export interface SessionSummary {
  id: string;
  avatar: string;
  state: SessionRecord['state'];
  host: string | undefined;
  epoch: number;
  createdAtMs: number;
  demo: boolean;
  /** The name of the API key that made it. */
  owner: string | undefined;
}

interface ViewerState {
  viewer: string;
  attempt: number;
  joinedAtMs: number;
  whep: boolean;
  /** What it measured last, and when. Known while live; a WHEP viewer says nothing. */
  report?: { atMs: number } & ViewerReport;
}

/** Everything about a session. */
export interface SessionState extends SessionSummary {
  endReason: string | undefined;
  viewerCount: number;
  viewers: ViewerState[];
  queue: QueuedSegment[];
  interruptedSeq: number;
  /** Whether the host said so just now; else it is what it saved last. */
  live: boolean;
  playhead: { segment: string; role: 'idle' | 'speech'; positionMs: number; frame?: number; atMs?: number } | undefined;
  nextCut: Inspection['nextCut'];
  /** Whether both tracks wait for late media; and how often they had to. Known while live. */
  held: boolean | undefined;
  underruns: number | undefined;
  prefetchedMs: number | undefined;
}

/** What a session's token shows of it: how many watch, but neither who they are, nor who made it, nor which media-sender hosts it. */
export function guestView(state: SessionState): Omit<SessionState, 'host' | 'owner'> {
  const { host: _host, owner: _owner, ...rest } = state;
  return { ...rest, viewers: [] };
}

/** Sessions as REST shows them. */
export class SessionViews {
  readonly #registry: SessionRegistry;
  readonly #inspector: Inspector;

  constructor(registry: SessionRegistry, inspector: Inspector) {
    this.#registry = registry;
    this.#inspector = inspector;
  }

  async list(): Promise<SessionSummary[]> {
    return (await this.#registry.list()).map(summaryOf);
  }

  /** @throws HumancastError `session_not_found`. */
  async get(id: string): Promise<SessionState> {
    const record = await this.#registry.get(id);
    const [viewers, queue, inspection] = await Promise.all([
      this.#registry.viewers(id),
      this.#registry.queue(id),
      record.state === 'hosted' && record.host !== undefined ? this.#inspector.inspect(id, record.host) : undefined,
    ]);
    return {
      ...summaryOf(record),
      endReason: record.endReason,
      viewerCount: viewers.length,
      viewers: viewers.map((viewer) => viewerOf(viewer, inspection)),
      queue,
      interruptedSeq: record.interruptedSeq,
      live: inspection !== undefined,
      playhead: inspection ? inspection.playhead : savedPlayhead(record.playhead),
      nextCut: inspection?.nextCut,
      held: inspection?.held,
      underruns: inspection?.underruns,
      prefetchedMs: inspection?.prefetchedMs,
    };
  }
}

function summaryOf({ id, avatar, state, host, epoch, createdAtMs, demo, owner }: SessionRecord): SessionSummary {
  // While it waits for a host, the record still names the one before.
  return { id, avatar, state, host: state === 'hosted' ? host : undefined, epoch, createdAtMs, demo, owner };
}

function viewerOf(record: ViewerRecord, inspection: Inspection | undefined): ViewerState {
  const { viewer, attempt, joinedAtMs, offer } = record;
  const said = inspection?.reports?.find((report) => report.viewer === viewer);
  return {
    viewer,
    attempt,
    joinedAtMs,
    whep: offer !== undefined,
    ...(said && { report: { atMs: said.atMs, ...said.report } }),
  };
}

function savedPlayhead(saved: Playhead | undefined): SessionState['playhead'] {
  if (!saved) return undefined;
  const { segment, role, positionSamples, atMs } = saved;
  return { segment, role, positionMs: samplesToMs(positionSamples), atMs };
}
