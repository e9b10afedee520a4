import type { HumanCastElement } from '@humancast/element';
import type { RefObject } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { type Conversation, ConversationRun, NOT_YET } from './conversation.js';
import type { Visit } from './visit.js';

export interface ConversationControls {
  /** Loads the queue from the server, after something was queued. */
  refresh(): void;
  /** Starts over: joins the same session if it still exists, else a new one. */
  retry(): void;
}

/** Runs a {@link ConversationRun} while the component is mounted. */
export function useConversation(
  visit: Exclude<Visit, { kind: 'choose' }>,
  cast: RefObject<HumanCastElement | null>,
): [Conversation, ConversationControls] {
  const [conversation, setConversation] = useState(NOT_YET);
  const [attempt, setAttempt] = useState(0);
  const run = useRef<ConversationRun | undefined>(undefined);

  // A new attempt starts a new run.
  useEffect(() => {
    if (!cast.current) return;
    setConversation(NOT_YET);
    const current = new ConversationRun(visit, cast.current, (change) =>
      setConversation((was) => ({ ...was, ...change(was) })),
    );
    run.current = current;
    void current.start();
    return () => current.close();
  }, [visit, cast, attempt]);

  const controls: ConversationControls = {
    refresh: useCallback(() => run.current?.refresh(), []),
    retry: useCallback(() => setAttempt((count) => count + 1), []),
  };
  return [conversation, controls];
}
