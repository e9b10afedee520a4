import { HumancastError, type SessionRegistry, type SignalingConfig } from '@humancast/shared';

const RETRY_SECONDS = 30;

/** Limits the demo sessions of each address. Each signaling process counts those that it created. */
export class DemoSessions {
  readonly #registry: Pick<SessionRegistry, 'list'>;
  readonly #share: number;
  /** Network of each session that was created here and had not ended at the last check. */
  readonly #made = new Map<string, string>();
  /** Sessions being created, by network. */
  readonly #pending = new Map<string, number>();

  constructor(registry: Pick<SessionRegistry, 'list'>, config: Pick<SignalingConfig, 'demoSessionsPerAddress'>) {
    this.#registry = registry;
    this.#share = config.demoSessionsPerAddress;
  }

  /** Creates a demo session for a network. @throws HumancastError `rate_limited` at the limit; errors of `create`. */
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

  /** Only sessions created before the read count as ended; one created during it may be missing from the result. */
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
