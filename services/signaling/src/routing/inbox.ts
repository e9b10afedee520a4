import type { ToSignaling } from '@humancast/shared';
import type { Inspector } from './inspector.js';

type InspectedMessage = Extract<ToSignaling, { type: 'session.inspected' }>;
/** What concerns one viewer. */
export type ViewerPost = Exclude<ToSignaling, InspectedMessage>;
export type ViewerSink = (message: ViewerPost) => void;

/** Where this process's mailbox ends: each message goes to the viewer, or the question, that it belongs to. */
export class Inbox {
  readonly #inspector: Inspector;
  readonly #sinks = new Map<string, ViewerSink>();
  #onUnclaimed: ViewerSink = () => {};

  constructor(inspector: Inspector) {
    this.#inspector = inspector;
  }

  /** Messages for this viewer go to `sink` from now on. → stops that, unless a newer sink has taken over. */
  attach(viewer: string, sink: ViewerSink): () => void {
    this.#sinks.set(viewer, sink);
    return () => {
      if (this.#sinks.get(viewer) === sink) this.#sinks.delete(viewer);
    };
  }

  /** Messages for viewers that nobody here waits for: WHEP viewers, once they have their answer. */
  onUnclaimed(sink: ViewerSink): void {
    this.#onUnclaimed = sink;
  }

  deliver(message: ToSignaling): void {
    if (message.type === 'session.inspected') this.#inspector.answered(message.request, message.inspection);
    else (this.#sinks.get(message.viewer) ?? this.#onUnclaimed)(message);
  }
}
