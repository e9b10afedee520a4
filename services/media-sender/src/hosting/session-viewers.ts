import type { Avatar, Codec, SessionEventBody } from '@humancast/protocol';
import { type Inspection, type Logger, type SegmentManifest, traceFields, type ViewerRecord } from '@humancast/shared';
import { LiveClip } from '../media/live-clip.js';
import { SegmentClip } from '../media/segment-clip.js';
import type { Clip } from '../playout/clip.js';
import { RenditionDemand } from '../playout/rendition-demand.js';
import type { PlayoutSink, Sending } from '../playout/viewer-fanout.js';
import { type OfferedVideo, offeredVideo } from './offered-video.js';
import { RungWatch } from './rung-watch.js';
import type { WorkerServices } from './session-worker.js';
import { ViewerConnections, type ViewerConnectionsOptions } from './viewer-connections.js';

/** Time for which a codec is still read after its last viewer has left or another viewer has come. */
const UNWATCHED_CODEC_MS = 5000;

/** The player that the viewers are connected to: of a host or of a follower. */
interface ViewerPlayer {
  addViewer(id: string, codec: Codec, sink: PlayoutSink): void;
  removeViewer(id: string): void;
  recover(id: string): void;
  sending(): ReadonlyMap<string, Sending>;
}

export interface SessionViewersOptions {
  readonly session: string;
  readonly avatar: Avatar;
  /** The session's current epoch. */
  readonly epoch: () => number;
  readonly services: WorkerServices;
  readonly logger: Logger;
  readonly player: () => ViewerPlayer;
  /** Whether media may be sent at this instant. */
  readonly maySend: () => boolean;
  readonly emit: (body: SessionEventBody) => void;
  /** Called before a viewer's connection is served. */
  readonly onConnected: () => void;
  /** Called when a viewer's connection has been closed. */
  readonly onLeft: (viewer: string) => void;
  readonly onHeard: ViewerConnectionsOptions['onHeard'];
  /** Called when the grace period of a viewer without a connection ends. */
  readonly onGone: (viewer: string, attempt: number) => void;
  /** Called when a part of a segment has been read. */
  readonly onLoaded: (() => void) | undefined;
}

/**
 * The viewers of a session that this process serves: their connections, and the media that they need of each segment.
 */
export class SessionViewers {
  readonly #options: SessionViewersOptions;
  readonly #connections: ViewerConnections;
  /** Codecs to read of each segment. */
  readonly #codecs: Set<Codec>;
  readonly demand = new RenditionDemand();
  readonly #rungWatch = new RungWatch();
  /** Codec by connection. */
  readonly #watching = new Map<string, Codec>();
  #codecsChangedAtMs = 0;

  constructor(options: SessionViewersOptions) {
    this.#options = options;
    const { session, avatar, epoch, services, logger, maySend, onGone } = options;
    const { codecs, h264Level }: OfferedVideo = offeredVideo(avatar, services.idle.after(avatar.id, undefined));
    // The preferred codec is kept ready until a viewer connects.
    this.#codecs = new Set(codecs.slice(0, 1));
    this.#connections = new ViewerConnections({
      session,
      epoch,
      codecs,
      sender: services.sender,
      tracer: services.tracer,
      wallMs: services.wallMs,
      createTransport: (connection, offered, events, viewer) =>
        services.createTransport({ connection, codecs: offered, h264Level, events, ...viewer, logger, maySend }),
      mail: services.mail,
      logger,
      graceMs: services.viewerGraceMs,
      onConnected: ({ viewer, traceparent }, connection, codec, transport) => {
        this.#watching.set(connection, codec);
        this.#codecs.add(codec);
        this.#codecsChangedAtMs = performance.now();
        options.onConnected();
        options.player().addViewer(connection, codec, transport);
        logger.info({ viewer, connection, codec, ...traceFields(traceparent) }, 'viewer connected');
        options.emit({ type: 'viewer.connected', viewer });
      },
      onDisconnected: (viewer, connection, reason) => {
        options.player().removeViewer(connection);
        this.#watching.delete(connection);
        this.#codecsChangedAtMs = performance.now();
        logger.info({ viewer, connection, reason }, 'viewer disconnected');
        options.emit({ type: 'viewer.disconnected', viewer, reason });
        options.onLeft(viewer);
      },
      onKeyframeNeeded: (connection) => options.player().recover(connection),
      onHeard: options.onHeard,
      onGone,
    });
  }

  get connections(): ViewerConnections {
    return this.#connections;
  }

  /** Connects and closes viewers, so that exactly these are served. */
  sync(records: readonly ViewerRecord[]): void {
    this.#connections.sync(records);
  }

  openClip(manifest: SegmentManifest): Clip {
    const { services, logger, onLoaded } = this.#options;
    const { cache, ladders, prefetchSamples, live } = services;
    const options = {
      cache,
      prefetchSamples,
      codecs: this.#codecs,
      demand: this.demand,
      ladders,
      onLoaded,
      onLost: (part: string, error?: unknown) =>
        logger.warn({ segment: manifest.id, part, err: (error as Error | undefined)?.message }, 'media is missing'),
    };
    return manifest.state === 'open'
      ? new LiveClip(manifest, { ...options, ...live })
      : new SegmentClip(manifest, options);
  }

  /** Does what is done from time to time: stops reading codecs without viewers, and reports changed renditions. */
  tidy(): void {
    this.#dropCodecs();
    const { player, services, emit } = this.#options;
    for (const [connection, { rung, rungs }] of this.#rungWatch.changes(player().sending(), services.nowMs())) {
      const viewer = this.#connections.viewerOf(connection);
      if (viewer !== undefined) emit({ type: 'viewer.rung', viewer, rung, rungs });
    }
  }

  /** @param viewers Viewers that are asked for. Default: all. */
  inspect(viewers?: readonly string[]): Pick<Inspection, 'reports' | 'sending'> {
    const isWanted = ({ viewer }: { viewer: string }) => viewers?.includes(viewer) ?? true;
    const sending = [...this.#options.player().sending()].flatMap(([connection, of]) => {
      const viewer = this.#connections.viewerOf(connection);
      return viewer === undefined ? [] : [{ viewer, ...of }];
    });
    return { reports: this.#connections.reports().filter(isWanted), sending: sending.filter(isWanted) };
  }

  close(reason: string): void {
    this.#connections.close(reason);
  }

  /** Stops reading codecs without viewers, once those with viewers are in memory. */
  #dropCodecs(): void {
    if (this.#watching.size === 0 || performance.now() - this.#codecsChangedAtMs < UNWATCHED_CODEC_MS) return;
    const watched = new Set(this.#watching.values());
    for (const codec of this.#codecs) if (!watched.has(codec)) this.#codecs.delete(codec);
  }
}
