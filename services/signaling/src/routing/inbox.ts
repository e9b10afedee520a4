import type { ToSignaling } from '@humancast/shared';
import type { Inspector } from './inspector.js';

type InspectedMessage = Extract<ToSignaling, { type: 'session.inspected' }>;
/** A message about one viewer. */
export type ViewerPost = Exclude<ToSignaling, InspectedMessage>;
export type ViewerSink = (message: ViewerPost) => void;

/** Dispatches the messages of this process's mailbox to the viewer or the pending inspection that they belong to. */
export class Inbox {
  readonly #inspector: Inspector;
  readonly #sinks = new Map<string, ViewerSink>();
  #onUnclaimed: ViewerSink = () => {};

  constructor(inspector: Inspector) {
    this.#inspector = inspector;
  }

  /** Sends messages for this viewer to `sink`. @returns a function that stops it, unless a newer sink has taken over. */
  attach(viewer: string, sink: ViewerSink): () => void {
    this.#sinks.set(viewer, sink);
    return () => {
      if (this.#sinks.get(viewer) === sink) this.#sinks.delete(viewer);
    };
  }

  /** Registers the sink for viewers without one of their own: WHEP viewers, once they have their answer. */
  onUnclaimed(sink: ViewerSink): void {
    this.#onUnclaimed = sink;
  }

  deliver(message: ToSignaling): void {
    if (message.type === 'session.inspected') this.#inspector.answered(message.request, message.inspection);
    else (this.#sinks.get(message.viewer) ?? this.#onUnclaimed)(message);
  }
}
