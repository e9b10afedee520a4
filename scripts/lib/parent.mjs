/**
 * Calls back, once, when the process that started us has gone: nobody is left then who could tell us to end.
 * @param {() => void} callback
 * @param {number} [intervalMs] between two looks
 */
export function onceOrphaned(callback, intervalMs = 500) {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    callback();
  }, intervalMs);
  timer.unref();
}
