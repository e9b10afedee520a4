import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cleanup, Producer, type Stack, type StackOptions, startStack } from '@humancast/testkit';

/** Number of log lines printed per process after a failure. */
const LOG_LINES = 20;

/** The built stack, with its own clips in the media folder. */
export interface Scene {
  readonly stack: Stack;
  readonly producer: Producer;
  /** Process id of the first media-sender. */
  readonly senderPid: number;
}

/** @returns A folder that is removed at the end of the benchmark. */
export function temporaryFolder(cleanup: Cleanup): string {
  const path = mkdtempSync(join(tmpdir(), 'humancast-bench-'));
  cleanup.add(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** @param options.mediaDir folder with `<avatar>/idle/` and `<avatar>/segments/`, filled beforehand. */
export async function openScene(cleanup: Cleanup, options: StackOptions & { mediaDir: string }): Promise<Scene> {
  const stack = await startStack(options);
  cleanup.add(async (failed) => {
    if (failed) for (const { name, log } of stack.processes) console.error(`--- ${name}\n${lastLines(log())}`);
    await stack.stop();
  });
  const senderPid = stack.processes.find(({ name }) => name === 'media-sender')?.pid ?? -1;
  return { stack, producer: new Producer(stack), senderPid };
}

function lastLines(log: string): string {
  return log.split('\n').slice(-LOG_LINES).join('\n');
}
