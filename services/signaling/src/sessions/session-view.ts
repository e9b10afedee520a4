import type { SessionDetails, SessionSummary, ViewerState } from '@humancast/protocol';
import {
  INSPECTED_VIEWERS,
  type Inspection,
  type Playhead,
  type SessionRecord,
  type SessionRegistry,
  samplesToMs,
  type ViewerRecord,
} from '@humancast/shared';
import type { HostRequests } from '../routing/host-requests.js';

/** Number of media-senders that are asked about their viewers of a session. */
const INSPECTED_SENDERS = 32;

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
    const [{ viewers: scanned }, viewerCount, queue] = await Promise.all([
      this.#registry.scanViewers(id, undefined, INSPECTED_VIEWERS),
      this.#registry.viewerCount(id),
      this.#registry.queue(id),
    ]);
    const viewers = scanned.slice(0, INSPECTED_VIEWERS);
    const host = record.state === 'hosted' ? record.host : undefined;
    const inspections = await this.#inspect(id, host, viewers);
    const inspection = host === undefined ? undefined : inspections.get(host);
    return {
      ...summaryOf(record),
      endReason: record.endReason,
      viewerCount,
      viewers: viewers.map((viewer) => viewerOf(viewer, inspections.get(viewer.sender ?? host ?? ''))),
      queue,
      interruptedSeq: record.interruptedSeq,
      turn: record.turn,
      idleState: record.idleState,
      bargeIn: record.bargeIn,
      live: inspection !== undefined,
      playhead: inspection ? inspection.playhead : savedPlayhead(record.playhead),
      nextCut: inspection?.nextCut,
      held: inspection?.held,
      underruns: inspection?.underruns,
      prefetchedMs: inspection?.prefetchedMs,
      canSay: canSay(record.avatar),
    };
  }

  /** Asks the host, and the followers that serve these viewers, all at once. @returns The answers that came in time. */
  async #inspect(
    session: string,
    host: string | undefined,
    viewers: readonly ViewerRecord[],
  ): Promise<Map<string, Inspection>> {
    const served = new Map<string, string[]>(host === undefined ? [] : [[host, []]]);
    for (const { viewer, sender = host } of viewers) {
      if (sender === undefined) continue;
      const there = served.get(sender);
      if (there) there.push(viewer);
      else if (served.size < INSPECTED_SENDERS) served.set(sender, [viewer]);
    }
    const answers = [...served].map(async ([sender, there]) => {
      const inspection = await this.#requests.inspect(session, sender, there);
      return inspection ? [[sender, inspection] as const] : [];
    });
    return new Map((await Promise.all(answers)).flat());
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
