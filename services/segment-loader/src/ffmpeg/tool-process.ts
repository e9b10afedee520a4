import { type ChildProcess, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { currentSandbox, toolCommand } from './current-sandbox.js';
import { type Command, toolEnvironment } from './sandbox.js';

/** 4 GiB of address space. */
const ADDRESS_SPACE_KIB = 4 * 1024 * 1024;

/**
 * Without a sandbox, the limits that a shell can set before it becomes the tool: no core dumps, not one byte written to a disk (output goes
 * to pipes), bounded memory, and less of the processor than whatever plays to a viewer. A limit that the system
 * doesn't know is left out.
 */
const LIMITED = ['ulimit -c 0', 'ulimit -f 0', `ulimit -v ${ADDRESS_SPACE_KIB}`, 'exec nice -n 10 "$0" "$@"'].join(
  ' 2>/dev/null; ',
);

/** What the shell exits with when the tool is not there (POSIX.1-2017 §2.8.2). */
const EXIT_NOT_FOUND = 127;

export interface ToolExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly notInstalled: boolean;
}

/**
 * One run of ffmpeg or ffprobe on a stranger's file: in the {@link currentSandbox}, in a process group of its own, with none
 * of this service's environment. Input files are handed over as descriptors and opened by {@link inputUrl}, so that no file name ever reaches
 * the tool (options in disguise, `%d` patterns, protocols), and the file that was checked is the file that is read.
 */
export class ToolProcess {
  readonly #child: ChildProcess;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** What the tool writes to {@link outputUrl}, in that order. */
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
    // Whoever awaits it is told; nobody having come to that yet is no reason to end the service.
    this.exited.catch(() => {});
  }

  /** Ends the whole process group, and with it every stream; may be called at any time and again. */
  kill(): void {
    const { pid, exitCode, signalCode } = this.#child;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has just gone by itself.
    }
  }
}

function commandOf(tool: 'ffmpeg' | 'ffprobe', args: readonly string[], inputs: number): Command {
  const { tools } = currentSandbox();
  if (tools) return toolCommand(tool, args, inputs, tools);
  return { program: '/bin/sh', args: ['-c', LIMITED, tool, ...args] };
}

const FIRST_FREE_DESCRIPTOR = 3;

/** The `index`-th input of a {@link ToolProcess}, as ffmpeg opens it: anew, so that each run reads from the start. */
export function inputUrl(index: number): string {
  return `file:/dev/fd/${FIRST_FREE_DESCRIPTOR + index}`;
}

/** The `index`-th output of a {@link ToolProcess} that has `inputCount` inputs. */
export function outputUrl(index: number, inputCount: number): string {
  return `pipe:${FIRST_FREE_DESCRIPTOR + inputCount + index}`;
}
