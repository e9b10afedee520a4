/**
 * Calls back once when the parent process has ended, which could otherwise stop this one.
 * @param {() => void} callback
 * @param {number} [intervalMs] polling interval
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
