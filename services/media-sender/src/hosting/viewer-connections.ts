import { randomBytes } from 'node:crypto';
import { type Codec, type ViewerReport } from '@humancast/protocol';
import {
  HumancastError,
  type Logger,
  type MailSender,
  Stages,
  type ToSignaling,
  type Tracer,
  type ViewerRecord,
} from '@humancast/shared';
import type { HeardFrame } from '../receive/audio-receiver.js';
import type { IceCredentials } from '../transport/stun.js';
import type { TransportEvents, ViewerTransport } from '../transport/viewer-transport.js';
import type { ViewerDelays } from './session-voices.js';

type TransportFactory = (
  connection: string,
  codecs: readonly Codec[],
  events: TransportEvents,
  viewer: { readonly isPlayer: boolean; readonly microphone: boolean },
) => ViewerTransport;

export interface ViewerConnectionsOptions {
  session: string;
  /** The session's current epoch. */
  epoch: () => number;
  /** Codecs that the avatar is available in, in order of preference. */
  codecs: readonly Codec[];
  /** ID of this media-sender. */
  sender: string;
  tracer: Tracer;
  wallMs: () => number;
  createTransport: TransportFactory;
  mail: MailSender<ToSignaling>;
  logger: Logger;
  /** Time after which a viewer without a connection is removed. */
  graceMs: number;
  onConnected: (viewer: ViewerRecord, connection: string, codec: Codec, transport: ViewerTransport) => void;
  onDisconnected: (viewer: string, connection: string, reason: string) => void;
  onKeyframeNeeded: (connection: string) => void;
  onHeard: (viewer: string, frame: HeardFrame, delays: ViewerDelays) => void;
  /** Called when the grace period of a viewer without a connection ends. @param attempt Its last attempt known here. */
  onGone: (viewer: string, attempt: number) => void;
}

/** Older joins are not traced, because a host that takes a session over makes connections on its own. */
const JOIN_TRACE_MS = 60_000;
/** Grace period of a WHEP player without a connection. */
const PLAYER_GRACE_MS = 15_000;

interface Connection {
  readonly id: string;
  readonly transport: ViewerTransport;
  connected: boolean;
  /** Set until the first media is sent, or the connection is closed before. */
  stages: Stages | undefined;
}

interface Viewer {
  record: ViewerRecord;
  /** Connections by ID, the newest last; more than one only while a new one is being established. */
  readonly connections: Map<string, Connection>;
  grace: NodeJS.Timeout | undefined;
  /** The last report and its time of arrival. */
  report: { atMs: number; report: ViewerReport } | undefined;
}

/** Opens and closes the connections of a session's viewers according to its viewer records. */
export class ViewerConnections {
  readonly #options: ViewerConnectionsOptions;
  readonly #viewers = new Map<string, Viewer>();
  #closed = false;

  constructor(options: ViewerConnectionsOptions) {
    this.#options = options;
  }

  /** Number of viewers, connected or not. */
  get count(): number {
    return this.#viewers.size;
  }

  get connectedCount(): number {
    let count = 0;
    for (const viewer of this.#viewers.values()) if (isConnected(viewer)) count++;
    return count;
  }

  /** Connects new viewers and new attempts, and closes viewers that are not in `records`. */
  sync(records: readonly ViewerRecord[]): void {
    if (this.#closed) return;
    const wanted = new Set(records.map(({ viewer }) => viewer));
    for (const viewer of [...this.#viewers.keys()]) if (!wanted.has(viewer)) this.#drop(viewer, 'left');
    for (const record of records) this.put(record);
  }

  /** Connects a viewer if it is new or makes a new attempt. */
  put(record: ViewerRecord): void {
    if (this.#closed) return;
    const known = this.#viewers.get(record.viewer);
    const attempt = known?.record.attempt ?? 0;
    const viewer: Viewer = known ?? { record, connections: new Map(), grace: undefined, report: undefined };
    viewer.record = record;
    this.#viewers.set(record.viewer, viewer);
    if (record.attempt > attempt) void this.#connect(viewer);
  }

  /** Closes the connections of a viewer that has left or is served elsewhere. */
  remove(viewer: string): void {
    this.#drop(viewer, 'left');
  }

  has(viewer: string): boolean {
    return this.#viewers.has(viewer);
  }

  async acceptAnswer(viewer: string, connection: string, sdp: string): Promise<void> {
    const found = this.#find(viewer, connection);
    if (!found) return;
    try {
      found.stages?.end('viewer.answer');
      await found.transport.acceptAnswer(sdp);
    } catch (error) {
      this.#fail(viewer, connection, error);
    }
  }

  /** @returns The local side of the new ICE session; `undefined` if the viewer has no such connection. */
  restartIce(viewer: string, connection: string, remote: IceCredentials): string | undefined {
    return this.#find(viewer, connection)?.transport.restartIce(remote);
  }

  /** Records that the first media was sent on a connection. */
  served(connection: string): void {
    for (const viewer of this.#viewers.values()) {
      const found = viewer.connections.get(connection);
      found?.stages?.end('viewer.first_packet');
      if (found) this.#recordTrace(viewer, found);
    }
  }

  /** Closes a connection that could not be served because of an error; its viewer may open another one. */
  fault(connection: string, error: unknown): void {
    for (const viewer of this.#viewers.values()) {
      const found = viewer.connections.get(connection);
      if (!found) continue;
      this.#options.logger.error(
        { viewer: viewer.record.viewer, connection, err: error },
        'serving a viewer failed, closing its connection',
      );
      found.transport.close('failed');
    }
  }

  /** Keeps a viewer's report until its next one, or until it leaves. */
  keepReport(viewer: string, report: ViewerReport, atMs: number): void {
    const known = this.#viewers.get(viewer);
    if (known) known.report = { atMs, report };
  }

  /** @returns The viewer of a connection. */
  viewerOf(connection: string): string | undefined {
    for (const [id, { connections }] of this.#viewers) if (connections.has(connection)) return id;
    return undefined;
  }

  reports(): { viewer: string; atMs: number; report: ViewerReport }[] {
    return [...this.#viewers.values()].flatMap(({ record, report }) =>
      report ? [{ viewer: record.viewer, ...report }] : [],
    );
  }

  close(reason: string): void {
    if (this.#closed) return;
    for (const viewer of [...this.#viewers.keys()]) this.#drop(viewer, reason);
    this.#closed = true;
  }

  async #connect(viewer: Viewer): Promise<void> {
    const { session, codecs, createTransport, sender } = this.#options;
    const { record } = viewer;
    const stages = this.#options.tracer.enabled ? new Stages(Date.now()) : undefined;
    const id = randomBytes(12).toString('base64url');
    const events: TransportEvents = {
      connected: (codec) => this.#connected(record.viewer, id, codec),
      closed: (reason) => this.#transportClosed(record.viewer, id, reason),
      keyframeNeeded: () => this.#options.onKeyframeNeeded(id),
      feedback: () => {},
      heard: (frame) => this.#heard(viewer, id, frame),
    };
    try {
      const { offer, microphone } = record;
      const transport = createTransport(id, codecs, events, { isPlayer: offer !== undefined, microphone });
      viewer.connections.set(id, { id, transport, connected: false, stages });
      this.#watch(viewer);
      const sdp = offer === undefined ? await transport.createOffer() : await transport.answerOffer(offer);
      stages?.end(offer === undefined ? 'viewer.offer' : 'viewer.answer');
      this.#send(record.viewer, {
        type: offer === undefined ? 'viewer.offer' : 'viewer.answered',
        session,
        viewer: record.viewer,
        connection: id,
        epoch: this.#options.epoch(),
        sdp,
        sender,
      });
    } catch (error) {
      this.#fail(record.viewer, id, error);
    }
  }

  #heard({ record, connections, report }: Viewer, connection: string, frame: HeardFrame): void {
    const roundTripMs = connections.get(connection)?.transport.roundTripMs;
    this.#options.onHeard(record.viewer, frame, { roundTripMs, bufferMs: report?.report.jitterBufferMs?.audio });
  }

  #connected(viewerId: string, connection: string, codec: Codec): void {
    const viewer = this.#viewers.get(viewerId);
    const found = viewer?.connections.get(connection);
    if (!viewer || !found) return;
    found.connected = true;
    found.stages?.end('viewer.ice_dtls');
    this.#watch(viewer);
    this.#options.onConnected(viewer.record, connection, codec, found.transport);
    // The page was reloaded or a lost connection was replaced, so the older ones have no viewer.
    for (const older of [...viewer.connections.values()]) {
      if (older.id === connection) break;
      older.transport.close('replaced');
    }
  }

  #transportClosed(viewerId: string, connection: string, reason: string): void {
    const viewer = this.#viewers.get(viewerId);
    const found = viewer?.connections.get(connection);
    if (!viewer || !found) return;
    viewer.connections.delete(connection);
    this.#recordTrace(viewer, found, reason);
    if (found.connected) this.#options.onDisconnected(viewerId, connection, reason);
    const { session, epoch } = this.#options;
    this.#send(viewerId, { type: 'viewer.closed', session, viewer: viewerId, connection, epoch: epoch(), reason });
    this.#watch(viewer);
  }

  /** Starts or stops the grace period of a viewer, depending on whether it is connected. */
  #watch(viewer: Viewer): void {
    const { graceMs } = this.#options;
    if (isConnected(viewer)) {
      clearTimeout(viewer.grace);
      viewer.grace = undefined;
    } else {
      viewer.grace ??= setTimeout(
        () => this.#options.onGone(viewer.record.viewer, viewer.record.attempt),
        // A WHEP player cannot come back as the same viewer.
        viewer.record.offer === undefined ? graceMs : Math.min(graceMs, PLAYER_GRACE_MS),
      );
    }
  }

  #drop(viewerId: string, reason: string): void {
    const viewer = this.#viewers.get(viewerId);
    if (!viewer) return;
    this.#viewers.delete(viewerId);
    clearTimeout(viewer.grace);
    for (const connection of viewer.connections.values()) {
      connection.transport.close(reason);
      if (connection.connected) this.#options.onDisconnected(viewerId, connection.id, reason);
    }
  }

  /** @param reason Why no media was sent, if none was. */
  #recordTrace({ record }: Viewer, connection: Connection, reason?: string): void {
    const { session, epoch, sender, tracer, wallMs } = this.#options;
    const { viewer, joinedAtMs, traceparent } = record;
    const isFresh = wallMs() - joinedAtMs < JOIN_TRACE_MS;
    connection.stages?.record(tracer, 'viewer.connect', {
      parent: isFresh ? traceparent : undefined,
      attributes: { session, viewer, connection: connection.id, epoch: epoch(), sender },
      error: reason,
    });
    connection.stages = undefined;
  }

  #fail(viewer: string, connection: string, error: unknown): void {
    const { session, epoch, logger } = this.#options;
    const known = error instanceof HumancastError ? error : new HumancastError('internal');
    logger.warn({ session, viewer, connection, code: known.code, err: (error as Error).message }, 'connection failed');
    const { code, message } = known;
    this.#send(viewer, { type: 'viewer.error', session, viewer, epoch: epoch(), code, message });
    this.#find(viewer, connection)?.transport.close(known.code);
  }

  #send(viewer: string, message: ToSignaling): void {
    const record = this.#viewers.get(viewer)?.record;
    if (!record) return;
    this.#options.mail.send(record.mailbox, message).catch((error: Error) => {
      this.#options.logger.warn(
        { viewer, err: error.message, type: message.type },
        'failed to send message to signaling',
      );
    });
  }

  #find(viewer: string, connection: string): Connection | undefined {
    return this.#viewers.get(viewer)?.connections.get(connection);
  }
}

function isConnected(viewer: Viewer): boolean {
  for (const connection of viewer.connections.values()) if (connection.connected) return true;
  return false;
}
