/** A stack of clean-up actions, run in reverse order at the end, on failure, and on Ctrl-C. */
export interface Cleanup {
  /** @param undo receives whether the run failed. */
  add(undo: Undo): void;
}

type Undo = (failed: boolean) => unknown;

const UNDO_TIMEOUT_MS = 20_000;

/** The clean-up actions of this process, innermost last. */
const undos: Undo[] = [];
let stopping = false;

/** Runs (a part of) a benchmark and then the clean-up actions that it added, whether it succeeds or fails. */
export async function withCleanup<T>(run: (cleanup: Cleanup) => Promise<T>): Promise<T> {
  const base = undos.length;
  if (base === 0) {
    process.once('SIGINT', stop);
    process.once('SIGTERM', stop);
  }
  let failed = true;
  try {
    const result = await run({ add: (undo) => undos.push(undo) });
    failed = false;
    return result;
  } finally {
    // While stopping, everything fails, and the signal handler cleans up.
    if (!stopping) await undoDownTo(base, failed);
    if (base === 0) {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
    }
  }
}

function stop(signal: NodeJS.Signals): void {
  console.error(`\n${signal}: stopping`);
  stopping = true;
  void undoDownTo(0, false).finally(() => process.exit(130));
}

async function undoDownTo(length: number, failed: boolean): Promise<void> {
  while (undos.length > length) {
    const undo = undos.pop();
    if (undo) await withinTime(() => undo(failed));
  }
}

/** Limits the time of an action and logs its error, so that the remaining actions still run. */
async function withinTime(undo: () => unknown): Promise<void> {
  const { promise: timeout, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, UNDO_TIMEOUT_MS);
  try {
    await Promise.race([undo(), timeout]);
  } catch (error) {
    console.error(`while stopping: ${(error as Error).message}`);
  } finally {
    clearTimeout(timer);
  }
}
