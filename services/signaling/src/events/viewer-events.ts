import type { SessionEvent } from '@humancast/protocol';
import { compareStreamIds } from '@humancast/shared';
import type { EventFeed } from './event-feed.js';

/** Number of recent events kept for viewers that join while these are delivered. */
const RECENT_LIMIT = 512;

interface Listener {
  readonly afterId: string;
  readonly onEvent: (event: SessionEvent) => void;
}

/** A session that viewers of this process watch. */
interface Followed {
  readonly listeners: Map<string, Listener>;
  readonly recent: SessionEvent[];
  unfollow: () => void;
}

/**
 * Delivers session events to the viewers connected to this process. Each session is read once, however many viewers it has,
 * and a viewer gets no events about other viewers: thousands who join would get millions.
 */
export class ViewerEvents {
  readonly #feed: Pick<EventFeed, 'follow'>;
  readonly #followed = new Map<string, Followed>();

  constructor(feed: Pick<EventFeed, 'follow'>) {
    this.#feed = feed;
  }

  /**
   * Delivers the events after `afterId`, the session's last one when the viewer joined, in order. A later call for the same
   * viewer replaces this one.
   * @returns A function that stops it.
   */
  follow(
    { session, viewer }: { session: string; viewer: string },
    afterId: string,
    onEvent: (event: SessionEvent) => void,
  ): () => void {
    const followed = this.#followed.get(session) ?? this.#start(session, afterId);
    const listener: Listener = { afterId, onEvent };
    followed.listeners.set(viewer, listener);
    for (const event of followed.recent) if (isFor(event, viewer)) deliver(event, listener);
    return () => {
      if (followed.listeners.get(viewer) !== listener) return;
      followed.listeners.delete(viewer);
      if (followed.listeners.size > 0) return;
      followed.unfollow();
      this.#followed.delete(session);
    };
  }

  #start(session: string, afterId: string): Followed {
    const followed: Followed = { listeners: new Map(), recent: [], unfollow: () => {} };
    this.#followed.set(session, followed);
    followed.unfollow = this.#feed.follow(session, afterId, (event) => dispatch(event, followed));
    return followed;
  }
}

function dispatch(event: SessionEvent, { listeners, recent }: Followed): void {
  recent.push(event);
  if (recent.length > RECENT_LIMIT) recent.shift();
  const viewer = viewerOf(event);
  if (viewer !== undefined) {
    const listener = listeners.get(viewer);
    if (listener) deliver(event, listener);
  } else for (const listener of listeners.values()) deliver(event, listener);
}

/** @returns The only viewer that gets an event; `undefined`: all. */
function viewerOf(event: SessionEvent): string | undefined {
  return 'viewer' in event ? event.viewer : undefined;
}

function isFor(event: SessionEvent, viewer: string): boolean {
  return [undefined, viewer].includes(viewerOf(event));
}

function deliver(event: SessionEvent, { afterId, onEvent }: Listener): void {
  if (compareStreamIds(event.id, afterId) > 0) onEvent(event);
}
