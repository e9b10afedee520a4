import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { currentSandbox, toolCommand } from './current-sandbox.js';
import { type Command, toolEnvironment } from './sandbox.js';

/** 4 GiB of address space. */
const ADDRESS_SPACE_KIB = 4 * 1024 * 1024;

/**
 * Limits that a shell sets before it executes the tool, if there is no sandbox: no core dumps, no bytes written to files
 * (output goes to pipes), bounded memory, and a lower CPU priority than playback. A limit that the system doesn't know is
 * skipped.
 */
const LIMITED = ['ulimit -c 0', 'ulimit -f 0', `ulimit -v ${ADDRESS_SPACE_KIB}`, 'exec nice -n 10 "$0" "$@"'].join(
  ' 2>/dev/null; ',
);

/** Exit code of the shell if the tool does not exist (POSIX.1-2017 §2.8.2). */
const EXIT_NOT_FOUND = 127;

export interface ToolExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly notInstalled: boolean;
}

/**
 * One run of ffmpeg or ffprobe on an untrusted file: in the {@link currentSandbox}, in its own process group, without the
 * service's environment. Input files are passed as descriptors and opened by {@link inputUrl}, so that no file name reaches
 * the tool (disguised options, `%d` patterns, protocols), and the file that was checked is the file that is read.
 */
export class ToolProcess {
  readonly #child: ChildProcess;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Streams of what the tool writes to {@link outputUrl}, in order. */
  readonly outputs: readonly Readable[];
  readonly exited: Promise<ToolExit>;

  constructor(tool: 'ffmpeg' | 'ffprobe', args: readonly string[], inputs: readonly number[] = [], outputs = 0) {
    const command = commandOf(tool, args, inputs.length);
    this.#child = spawn(command.program, command.args, {
      stdio: ['ignore', 'pipe', 'pipe', ...inputs, ...Array.from({ length: outputs }, () => 'pipe' as const)],
      detached: true,
      env: toolEnvironment(),
    });
    const readable = (index: number) => this.#child.stdio[index] as Readable;
    this.stdout = readable(1);
    this.stderr = readable(2);
    this.outputs = Array.from({ length: outputs }, (_, i) => readable(FIRST_FREE_DESCRIPTOR + inputs.length + i));
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject);
      this.#child.once('exit', (code, signal) => resolve({ code, signal, notInstalled: code === EXIT_NOT_FOUND }));
    });
    // Callers that await it get the error; a rejection before that must not end the service.
    this.exited.catch(() => {});
  }

  /** Kills the process group, which ends every stream. It may be called at any time and repeatedly. */
  kill(): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has just exited.
    }
  }
}

function commandOf(tool: 'ffmpeg' | 'ffprobe', args: readonly string[], inputs: number): Command {
  const { tools } = currentSandbox();
  if (tools) return toolCommand(tool, args, inputs, tools);
  return { program: '/bin/sh', args: ['-c', LIMITED, tool, ...args] };
}

const FIRST_FREE_DESCRIPTOR = 3;

/**
 * @returns The URL of the `index`-th input of a {@link ToolProcess}; ffmpeg reopens the file, so that each run reads from
 * the start.
 */
export function inputUrl(index: number): string {
  return `file:/dev/fd/${FIRST_FREE_DESCRIPTOR + index}`;
}

/** @returns The URL of the `index`-th output of a {@link ToolProcess} with `inputCount` inputs. */
export function outputUrl(index: number, inputCount: number): string {
  return `pipe:${FIRST_FREE_DESCRIPTOR + inputCount + index}`;
}
