import { useEffect, useRef, useState } from 'preact/hooks';
import type { Activity } from './activity.js';
import { ApiError, type Credentials, say } from './api.js';
import { troubleOf } from './words.js';

/** Time after which a text that has not started counts as failed. */
const GIVE_UP_MS = 15_000;

export interface Saying {
  /** Whether a text was sent and has not started. */
  thinking: boolean;
  problem: string | undefined;
  /** The typed texts, by segment. */
  texts: ReadonlyMap<string, string>;
  submit(credentials: Credentials, text: string): Promise<void>;
}

/** Sends typed texts and tracks each until it starts. A later text replaces the one before. */
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
      setProblem('The text was not spoken. Try again.');
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
      setProblem(error instanceof ApiError ? problemOf(error) : 'Something went wrong. Try again.');
    }
  };
  return { thinking: pending !== undefined, problem, texts, submit };
}

function hasBegun({ speaking, log }: Activity, segment: string): boolean {
  return speaking?.segment === segment || log.some((entry) => entry.segment === segment);
}

function problemOf({ code, message }: ApiError): string {
  if (code === 'bad_request') return 'The text contains nothing to speak.';
  if (code === 'no_capacity' || code === 'too_many_pushes')
    return 'Too many avatars are speaking. Try again in a moment.';
  if (code === 'unavailable') return 'Speech is unavailable right now. Try again in a moment.';
  return troubleOf(code, message).title;
}
