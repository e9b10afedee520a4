import type { ToSignaling } from '@humancast/shared';
import type { HostAnswer, HostRequests } from './host-requests.js';

/** A message about one viewer. */
export type ViewerPost = Exclude<ToSignaling, HostAnswer>;
export type ViewerSink = (message: ViewerPost) => void;

/** Dispatches messages of this process's mailbox to the viewer or the pending request that they belong to. */
export class Inbox {
  readonly #requests: HostRequests;
  readonly #sinks = new Map<string, ViewerSink>();
  #onUnclaimed: ViewerSink = () => {};

  constructor(requests: HostRequests) {
    this.#requests = requests;
  }

  /** Routes messages for this viewer to `sink`. @returns A function that stops it, unless a newer sink has taken over. */
  attach(viewer: string, sink: ViewerSink): () => void {
    this.#sinks.set(viewer, sink);
    return () => {
      if (this.#sinks.get(viewer) === sink) this.#sinks.delete(viewer);
    };
  }

  /** Registers the sink for viewers without one of their own: WHEP viewers after their answer. */
  onUnclaimed(sink: ViewerSink): void {
    this.#onUnclaimed = sink;
  }

  deliver(message: ToSignaling): void {
    if (message.type === 'session.inspected' || message.type === 'viewer.restarted') this.#requests.answered(message);
    else (this.#sinks.get(message.viewer) ?? this.#onUnclaimed)(message);
  }
}
