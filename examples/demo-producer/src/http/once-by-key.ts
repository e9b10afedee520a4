import { type Command, HumancastError } from '@humancast/shared';

/** Maximum number of remembered commands; the oldest is evicted. */
const LIMIT = 1000;

interface Done<T> {
  readonly fingerprint: string;
  readonly untilMs: number;
  readonly answer: Promise<T>;
}

/** Runs a command once per key and gives every caller the same answer. Failed commands are forgotten and may be retried. */
export class OnceByKey<T> {
  readonly #done = new Map<string, Done<T>>();

  /**
   * @param scope the scope in which a key identifies one command.
   * @throws HumancastError `idempotency_key_reused`, or what `act` throws.
   */
  run(command: Command | undefined, scope: string, act: () => Promise<T>): Promise<T> {
    if (!command) return act();
    const name = `${scope} ${command.key}`;
    const known = this.#done.get(name);
    if (known && known.untilMs > performance.now()) {
      if (known.fingerprint === command.fingerprint) return known.answer;
      throw new HumancastError('idempotency_key_reused');
    }
    const answer = act();
    this.#done.delete(name);
    this.#done.set(name, { fingerprint: command.fingerprint, untilMs: performance.now() + command.ttlMs, answer });
    answer.catch(() => this.#done.delete(name));
    const [oldest] = this.#done.keys();
    if (this.#done.size > LIMIT && oldest !== undefined) this.#done.delete(oldest);
    return answer;
  }
}
