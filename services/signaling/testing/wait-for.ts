import { setTimeout as sleep } from 'node:timers/promises';

/** Looks until there is something to see, for a bounded time; what others do takes as long as it takes. */
export async function waitFor<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    await sleep(5);
  }
  throw new Error(`waited in vain for ${what}`);
}
