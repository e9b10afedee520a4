import { readdirSync } from 'node:fs';
import type { Stack, StackProcess } from './stack.js';
import { waitFor } from './wait.js';

interface Usage {
  /** Number of open files and sockets. */
  readonly descriptors: number;
  readonly timers: number;
  readonly heapBytes: number;
}

const DESCRIPTORS_MARGIN = 6;
const TIMERS_MARGIN = 6;
/** Allowance for compiled code and caches that fill at first use. */
const HEAP_MARGIN_BYTES = 40e6;

/** Resources that the services hold while idle. */
export class Footprint {
  readonly #idle: ReadonlyMap<string, Usage>;

  private constructor(idle: ReadonlyMap<string, Usage>) {
    this.#idle = idle;
  }

  /** Measures the idle services. Keyed by service, because a process may be replaced. */
  static async of(stack: Stack): Promise<Footprint> {
    const idle = new Map<string, Usage>();
    for (const process of stack.processes) idle.set(process.name, await usageOf(process));
    return new Footprint(idle);
  }

  /**
   * Waits until every process holds no more than while idle, plus a margin.
   * @throws Error if that takes longer than 30 s.
   */
  async settled(stack: Stack): Promise<void> {
    for (const process of stack.processes) {
      const before = this.#idle.get(process.name);
      if (!before) throw new Error(`no idle measurement of ${process.name}`);
      await waitFor(
        `${process.name} holds no more than before (${JSON.stringify(before)})`,
        () => usageOf(process),
        (now) =>
          now.descriptors <= before.descriptors + DESCRIPTORS_MARGIN &&
          now.timers <= before.timers + TIMERS_MARGIN &&
          now.heapBytes <= before.heapBytes + HEAP_MARGIN_BYTES,
        30_000,
      );
    }
  }
}

async function usageOf({ pid, metricsUrl }: StackProcess): Promise<Usage> {
  const metrics = await fetch(`${metricsUrl}/metrics`).then((response) => response.text());
  const value = (pattern: RegExp) => Number(pattern.exec(metrics)?.[1] ?? 0);
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    timers: value(/^nodejs_active_resources\{type="Timeout"[^}]*\} (\S+)/m),
    heapBytes: value(/^nodejs_heap_size_used_bytes(?:\{[^}]*\})? (\S+)/m),
  };
}
