import { readdirSync } from 'node:fs';
import type { Stack, StackProcess } from './stack.js';
import { waitFor } from './wait.js';

interface Trace {
  /** Open files and sockets. */
  readonly descriptors: number;
  readonly timers: number;
  readonly heapBytes: number;
}

const DESCRIPTORS_MARGIN = 6;
const TIMERS_MARGIN = 6;
/** Compiled code and caches that are filled at first use. */
const HEAP_MARGIN_BYTES = 40e6;

/** What processes hold while nobody uses them. */
export class Footprint {
  readonly #idle: ReadonlyMap<string, Trace>;

  private constructor(idle: ReadonlyMap<string, Trace>) {
    this.#idle = idle;
  }

  /** As it is now, before anyone came. By kind of service: a process may be replaced. */
  static async of(stack: Stack): Promise<Footprint> {
    const idle = new Map<string, Trace>();
    for (const process of stack.processes) idle.set(process.name, await traceOf(process));
    return new Footprint(idle);
  }

  /** Everything is as it was, within what a process that has worked may keep. */
  async settled(stack: Stack): Promise<void> {
    for (const process of stack.processes) {
      const before = this.#idle.get(process.name);
      if (!before) throw new Error(`nothing is known of ${process.name}`);
      await waitFor(
        `${process.name} holds no more than before (${JSON.stringify(before)})`,
        () => traceOf(process),
        (now) =>
          now.descriptors <= before.descriptors + DESCRIPTORS_MARGIN &&
          now.timers <= before.timers + TIMERS_MARGIN &&
          now.heapBytes <= before.heapBytes + HEAP_MARGIN_BYTES,
        30_000,
      );
    }
  }
}

async function traceOf({ pid, metricsUrl }: StackProcess): Promise<Trace> {
  const metrics = await fetch(`${metricsUrl}/metrics`).then((response) => response.text());
  const value = (pattern: RegExp) => Number(pattern.exec(metrics)?.[1] ?? 0);
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    timers: value(/^nodejs_active_resources\{type="Timeout"[^}]*\} (\S+)/m),
    heapBytes: value(/^nodejs_heap_size_used_bytes(?:\{[^}]*\})? (\S+)/m),
  };
}
