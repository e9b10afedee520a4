import { constants } from 'node:os';
import { NativeLibrary } from './library.js';

const CALLING_THREAD = 0n;
const SCHED_FIFO = 1n;
/** Threads and processes that the calling thread starts have no real-time priority. */
const SCHED_RESET_ON_FORK = 0x4000_0000n;
/** `struct sched_param`: one integer. */
const SCHED_PARAM_BYTES = 4;

/**
 * Makes the kernel run the calling thread as soon as it is runnable, before all threads without a real-time priority. The
 * kernel still reserves 5 % of the time for these (`sched_rt_runtime_us`).
 * @param priority 1 to 99.
 * @returns why it was refused, otherwise undefined.
 */
export function takeRealtimePriority(priority: number): string | undefined {
  let library: NativeLibrary;
  try {
    library = NativeLibrary.load();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const param = library.allocate(SCHED_PARAM_BYTES);
  param.bytes.writeInt32LE(priority);
  const policy = SCHED_FIFO | SCHED_RESET_ON_FORK;
  if (library.call.sched_setscheduler(CALLING_THREAD, policy, param.address) === 0) return undefined;
  const errno = library.errno();
  if (errno === constants.errno.EPERM) return 'it takes RLIMIT_RTPRIO (ulimit -r) or CAP_SYS_NICE';
  return `sched_setscheduler failed with error ${errno}`;
}
