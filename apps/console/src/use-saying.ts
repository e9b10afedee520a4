import { useEffect, useRef, useState } from 'preact/hooks';
import type { Activity } from './activity.js';
import { ApiError, type Credentials, say } from './api.js';
import { troubleOf } from './words.js';

/** A text that is not heard by then will not be. */
const GIVE_UP_MS = 15_000;

export interface Saying {
  /** A text is on its way, and not heard yet. */
  thinking: boolean;
  problem: string | undefined;
  /** What was typed here, by the segment that it became. */
  texts: ReadonlyMap<string, string>;
  submit(credentials: Credentials, text: string): Promise<void>;
}

/** Typed texts, from the Enter key until they are heard. A later one takes the place of the one before. */
export function useSaying(activity: Activity): Saying {
  const [pending, setPending] = useState<{ segment: string | undefined } | undefined>(undefined);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [texts, setTexts] = useState<ReadonlyMap<string, string>>(new Map());
  const latest = useRef(0);

  useEffect(() => {
    if (pending?.segment !== undefined && hasBegun(activity, pending.segment)) setPending(undefined);
  }, [activity, pending]);

  useEffect(() => {
    if (!pending) return;
    const timer = setTimeout(() => {
      setPending(undefined);
      setProblem('That was not heard. Try again.');
    }, GIVE_UP_MS);
    return () => clearTimeout(timer);
  }, [pending]);

  const submit = async (credentials: Credentials, text: string) => {
    const turn = ++latest.current;
    setPending({ segment: undefined });
    setProblem(undefined);
    try {
      const { segment } = await say(credentials, text);
      setTexts((was) => (segment === undefined ? was : new Map(was).set(segment, text)));
      if (turn === latest.current) setPending(segment === undefined ? undefined : { segment });
    } catch (error) {
      if (turn !== latest.current) return;
      setPending(undefined);
      setProblem(error instanceof ApiError ? problemOf(error) : 'That did not work.');
    }
  };
  return { thinking: pending !== undefined, problem, texts, submit };
}

function hasBegun({ speaking, log }: Activity, segment: string): boolean {
  return speaking?.segment === segment || log.some((entry) => entry.segment === segment);
}

function problemOf({ code, message }: ApiError): string {
  if (code === 'bad_request') return 'There is nothing to say in that.';
  if (code === 'no_capacity' || code === 'too_many_pushes')
    return 'Everyone is speaking at once. Try again in a moment.';
  if (code === 'unavailable') return 'The voice is not there right now. Try again in a moment.';
  return troubleOf(code, message).title;
}
