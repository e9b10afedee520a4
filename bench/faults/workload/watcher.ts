import { LightViewer, type MediaLink, type Stack } from '@humancast/testkit';
import type { History } from '../history.ts';
import type { Catalog } from './catalog.ts';
import { FrameRunRecorder } from './frame-run-recorder.ts';

/** Time for which a replaced connection is still read, ms: longer than any pause after which its host may resume. */
const GHOST_MS = 45_000;

export interface WatcherOptions {
  readonly stack: Pick<Stack, 'signalingUrls'>;
  readonly session: string;
  readonly token: string;
  readonly name: string;
  readonly catalog: Catalog;
  readonly history: History;
  readonly originMs: number;
}

/** A viewer that records what each of its connections receives, replaced ones included. */
export class Watcher {
  readonly #viewer: LightViewer;
  readonly #recorder: FrameRunRecorder;
  readonly #links: MediaLink[] = [];
  readonly #options: WatcherOptions;

  constructor(options: WatcherOptions) {
    const { stack, session, token, name, catalog, history, originMs } = options;
    this.#options = options;
    this.#recorder = new FrameRunRecorder({ session, viewer: name, catalog, history, originMs });
    this.#viewer = new LightViewer({
      signalingUrls: stack.signalingUrls,
      session,
      token,
      digests: true,
      onFrame: (frame) => this.#recorder.add(frame),
      onLink: (link) => this.#links.push(link),
    });
    this.#viewer.ghostMs = GHOST_MS;
  }

  get playing(): boolean {
    return this.#viewer.playing;
  }

  /** @param options.silently whether to omit `leave`. */
  close(options: { silently?: boolean } = {}): void {
    this.#viewer.close(options);
    this.#recorder.flush();
    const { session, name, history, originMs } = this.#options;
    for (const { connection, epoch, firstPacketMs, lastPacketMs } of this.#links) {
      if (firstPacketMs === undefined || lastPacketMs === undefined) continue;
      const [firstMs, lastMs] = [firstPacketMs - originMs, lastPacketMs - originMs];
      history.add({ type: 'connection', session, viewer: name, connection, epoch, firstMs, lastMs });
    }
  }
}
