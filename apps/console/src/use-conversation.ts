import type { RefObject } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { type Conversation, ConversationRun, NOT_YET } from './conversation.js';
import type { Visit } from './visit.js';

export interface ConversationControls {
  interrupt(): void;
  unmute(): Promise<boolean>;
  mute(): void;
  /** Plays a video that the browser's autoplay policy blocked; needs a user gesture. */
  play(): Promise<boolean>;
  /** Loads the queue from the server, after something was queued. */
  refresh(): void;
  /** Starts over: joins the same session if it still exists, else a new one. */
  retry(): void;
}

/** Runs a {@link ConversationRun} while the component is mounted. */
export function useConversation(
  visit: Exclude<Visit, { kind: 'choose' }>,
  video: RefObject<HTMLVideoElement | null>,
): [Conversation, ConversationControls] {
  const [conversation, setConversation] = useState(NOT_YET);
  const [attempt, setAttempt] = useState(0);
  const run = useRef<ConversationRun | undefined>(undefined);

  // A new attempt starts a new run.
  useEffect(() => {
    if (!video.current) return;
    setConversation(NOT_YET);
    const current = new ConversationRun(visit, video.current, (change) =>
      setConversation((was) => ({ ...was, ...change(was) })),
    );
    run.current = current;
    void current.start();
    return () => current.close();
  }, [visit, video, attempt]);

  const controls: ConversationControls = {
    interrupt: useCallback(() => run.current?.interrupt(), []),
    unmute: useCallback(async () => (await run.current?.session?.unmute()) ?? false, []),
    mute: useCallback(() => run.current?.session?.mute(), []),
    play: useCallback(async () => (await run.current?.session?.play()) ?? false, []),
    refresh: useCallback(() => run.current?.refresh(), []),
    retry: useCallback(() => setAttempt((count) => count + 1), []),
  };
  return [conversation, controls];
}
