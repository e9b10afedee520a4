/**
 * Repeats a task, with `intervalMs` between the end of one run and the start of the next.
 * @returns A function that stops it.
 */
export function every(intervalMs: number, task: () => Promise<void>, onError: (error: unknown) => void): () => void {
  let timer: NodeJS.Timeout;
  let stopped = false;
  const schedule = () => {
    if (stopped) return;
    timer = setTimeout(() => void task().catch(onError).then(schedule), intervalMs);
  };
  schedule();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
