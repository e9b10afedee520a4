import type { Sending } from '../playout/viewer-fanout.js';

const INTERVAL_MS = 5000;

/** Detects changes of the rendition sent to each viewer, at a bounded rate. */
export class RungWatch {
  readonly #known = new Map<string, { rung: number; atMs: number }>();

  /**
   * @returns The connections whose rung differs from the one returned last, initially 0, each at most once in 5 s.
   */
  changes(sending: ReadonlyMap<string, Sending>, nowMs: number): [connection: string, sending: Sending][] {
    for (const connection of this.#known.keys()) if (!sending.has(connection)) this.#known.delete(connection);
    return [...sending].filter(([connection, { rung }]) => {
      const known = this.#known.get(connection) ?? { rung: 0, atMs: nowMs };
      const hasChanged = rung !== known.rung && nowMs - known.atMs >= INTERVAL_MS;
      this.#known.set(connection, hasChanged ? { rung, atMs: nowMs } : known);
      return hasChanged;
    });
  }
}
