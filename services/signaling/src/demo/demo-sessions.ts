import { HumancastError, type SessionRegistry, type SignalingConfig } from '@humancast/shared';

const RETRY_SECONDS = 30;

/** Gives each address a share of the demo sessions, so that one can't take all. Each signaling process counts what it made. */
export class DemoSessions {
  readonly #registry: Pick<SessionRegistry, 'list'>;
  readonly #share: number;
  /** Sessions made here that were there at the last look, and by which network. */
  readonly #made = new Map<string, string>();
  /** Being made, by network. */
  readonly #pending = new Map<string, number>();

  constructor(registry: Pick<SessionRegistry, 'list'>, config: Pick<SignalingConfig, 'demoSessionsPerAddress'>) {
    this.#registry = registry;
    this.#share = config.demoSessionsPerAddress;
  }

  /** Makes a demo session for a network. @throws HumancastError `rate_limited` if it has its share; and what `create` throws. */
  async make<T extends { readonly id: string }>(network: string, create: () => Promise<T>): Promise<T> {
    this.#count(network, 1);
    try {
      await this.#forgetEnded();
      const living = [...this.#made.values()].filter((owner) => owner === network).length;
      if (living + (this.#pending.get(network) ?? 0) > this.#share) {
        throw new HumancastError('rate_limited', {
          detail: 'this address has as many demo sessions as allowed; the limit is DEMO_SESSIONS_PER_ADDRESS',
          retryAfterSeconds: RETRY_SECONDS,
          extra: { limit: 'DEMO_SESSIONS_PER_ADDRESS' },
        });
      }
      const session = await create();
      this.#made.set(session.id, network);
      return session;
    } finally {
      this.#count(network, -1);
    }
  }

  /** Only those made before the look: a session made during it may be missing from what was read. */
  async #forgetEnded(): Promise<void> {
    const known = [...this.#made.keys()];
    const living = new Set((await this.#registry.list()).map(({ id }) => id));
    for (const id of known) if (!living.has(id)) this.#made.delete(id);
  }

  #count(network: string, change: 1 | -1): void {
    const count = (this.#pending.get(network) ?? 0) + change;
    if (count > 0) this.#pending.set(network, count);
    else this.#pending.delete(network);
  }
}
