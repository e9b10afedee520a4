import type { SessionDetails, SessionSummary, ViewerState } from '@humancast/protocol';
import {
  type Inspection,
  type Playhead,
  type SessionRecord,
  type SessionRegistry,
  samplesToMs,
  type ViewerRecord,
} from '@humancast/shared';
import type { HostRequests } from '../routing/host-requests.js';

/** @returns What a session's token shows: neither the viewers, nor the owner, nor the host. */
export function guestView(session: SessionDetails): SessionDetails {
  const { host: _host, owner: _owner, ...rest } = session;
  return { ...rest, viewers: [] };
}

/** Builds the REST representation of sessions. */
export class SessionViews {
  readonly #registry: SessionRegistry;
  readonly #requests: HostRequests;

  constructor(registry: SessionRegistry, requests: HostRequests) {
    this.#registry = registry;
    this.#requests = requests;
  }

  async list(): Promise<SessionSummary[]> {
    return (await this.#registry.list()).map(summaryOf);
  }

  /**
   * @param canSay Whether `say` is available for an avatar.
   * @throws HumancastError `session_not_found`.
   */
  async get(id: string, canSay: (avatar: string) => boolean): Promise<SessionDetails> {
    const record = await this.#registry.get(id);
    const [viewers, queue, inspection] = await Promise.all([
      this.#registry.viewers(id),
      this.#registry.queue(id),
      record.state === 'hosted' && record.host !== undefined ? this.#requests.inspect(id, record.host) : undefined,
    ]);
    return {
      ...summaryOf(record),
      endReason: record.endReason,
      viewerCount: viewers.length,
      viewers: viewers.map((viewer) => viewerOf(viewer, inspection)),
      queue,
      interruptedSeq: record.interruptedSeq,
      turn: record.turn,
      live: inspection !== undefined,
      playhead: inspection ? inspection.playhead : savedPlayhead(record.playhead),
      nextCut: inspection?.nextCut,
      held: inspection?.held,
      underruns: inspection?.underruns,
      prefetchedMs: inspection?.prefetchedMs,
      canSay: canSay(record.avatar),
    };
  }
}

function summaryOf({ id, avatar, state, host, epoch, createdAtMs, demo, owner }: SessionRecord): SessionSummary {
  // While a session waits for a host, its record still names the previous one.
  return { id, avatar, state, host: state === 'hosted' ? host : undefined, epoch, createdAtMs, demo, owner };
}

function viewerOf(record: ViewerRecord, inspection: Inspection | undefined): ViewerState {
  const { viewer, attempt, joinedAtMs, offer } = record;
  const reported = inspection?.reports?.find((report) => report.viewer === viewer);
  const sending = inspection?.sending?.find((sent) => sent.viewer === viewer);
  return {
    viewer,
    attempt,
    joinedAtMs,
    whep: offer !== undefined,
    ...(sending && { sending: { rung: sending.rung, rungs: sending.rungs, estimateBps: sending.estimateBps } }),
    ...(reported && { report: { atMs: reported.atMs, ...reported.report } }),
  };
}

function savedPlayhead(saved: Playhead | undefined): SessionDetails['playhead'] {
  if (!saved) return undefined;
  const { segment, role, positionSamples, atMs } = saved;
  return { segment, role, positionMs: samplesToMs(positionSamples), atMs };
}
