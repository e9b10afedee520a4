import { keys } from '../keys.js';
import type { Redis } from '../redis.js';
import { inTime } from '../retry.js';

const TIMEOUT_MS = 1000;

export interface ReadinessChecks {
  /** Databases, by name, that the process requires. */
  readonly requires: Readonly<Record<string, Redis>>;
  /** Databases, by name, without which it offers less. */
  readonly uses?: Readonly<Record<string, Redis>>;
  /** The process's mailbox, which must exist to receive messages. */
  readonly mailbox?: { readonly redis: Redis; readonly address: string };
}

/** Determines whether this process can serve: it is not stopping, its databases respond and its mailbox exists. */
export class Readiness {
  readonly #checks: ReadinessChecks;
  #stopping = false;

  constructor(checks: ReadinessChecks) {
    this.#checks = checks;
  }

  /** Reports the process as not ready from now on, so that load balancers send no more requests. */
  stop(): void {
    this.#stopping = true;
  }

  /** @returns Why the process can't serve; `undefined` if it can. */
  async reason(): Promise<string | undefined> {
    if (this.#stopping) return 'stopping';
    const problem = await firstProblem(this.#checks.requires);
    const { mailbox } = this.#checks;
    if (problem !== undefined || !mailbox) return problem;
    const exists = await inTime(mailbox.redis.exists(keys.mailbox(mailbox.address)), TIMEOUT_MS);
    return exists === 1 ? undefined : 'the mailbox is not open';
  }

  /** @returns Which optional dependency is unavailable; `undefined` if none is. */
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

/** `PING` also fails if nothing can be written (`MISCONF`: the disk is full). */
async function problemOf(redis: Redis): Promise<string | undefined> {
  const answer = await inTime(
    redis.ping().catch((error: Error) => error.message),
    TIMEOUT_MS,
  );
  if (answer === 'PONG') return undefined;
  return answer?.startsWith('MISCONF') ? 'accepts no writes: its disk is full or broken' : 'is not reachable';
}
