import { keys } from '../keys.js';
import type { Redis } from '../redis.js';

const TIMEOUT_MS = 1000;

export interface ReadinessChecks {
  /** Databases, by name, without which the process serves nothing. */
  readonly requires: Readonly<Record<string, Redis>>;
  /** Databases, by name, without which it serves less. */
  readonly uses?: Readonly<Record<string, Redis>>;
  /** The process's own mailbox, which must exist to be written to. */
  readonly mailbox?: { readonly redis: Redis; readonly address: string };
}

/** Whether this process can serve: it is not stopping, its databases answer and its mailbox exists. */
export class Readiness {
  readonly #checks: ReadinessChecks;
  #stopping = false;

  constructor(checks: ReadinessChecks) {
    this.#checks = checks;
  }

  /** From now on the process is not ready, so that a load balancer sends no more requests. */
  stop(): void {
    this.#stopping = true;
  }

  /** @returns `undefined` when the process can serve, else the reason why not. */
  async reason(): Promise<string | undefined> {
    if (this.#stopping) return 'stopping';
    const problem = await firstProblem(this.#checks.requires);
    const { mailbox } = this.#checks;
    if (problem !== undefined || !mailbox) return problem;
    const exists = await inTime(mailbox.redis.exists(keys.mailbox(mailbox.address)));
    return exists === 1 ? undefined : 'the mailbox is not open';
  }

  /** @returns what is missing of what the process can do without, `undefined` when nothing is. */
  shortcoming(): Promise<string | undefined> {
    return firstProblem(this.#checks.uses ?? {});
  }
}

async function firstProblem(databases: Readonly<Record<string, Redis>>): Promise<string | undefined> {
  const problems = await Promise.all(
    Object.entries(databases).map(async ([name, redis]) => {
      const problem = await problemOf(redis);
      return problem === undefined ? [] : [`${name} ${problem}`];
    }),
  );
  return problems.flat()[0];
}

/** `PING` also reports that nothing can be written (`MISCONF`: the disk is full). */
async function problemOf(redis: Redis): Promise<string | undefined> {
  const answer = await inTime(redis.ping().catch((error: Error) => error.message));
  if (answer === 'PONG') return undefined;
  return answer?.startsWith('MISCONF') ? 'accepts no writes: its disk is full or broken' : 'is not reachable';
}

/** @returns `undefined` when there is no answer in time. */
async function inTime<T>(answer: Promise<T>): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), TIMEOUT_MS);
  try {
    return await Promise.race([answer, promise]);
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
