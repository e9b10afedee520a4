import { spawnSync } from 'node:child_process';
import { SANDBOX_SCRIPT } from './sandbox-script.js';

/** Optional layers of a sandbox. Limits, no new privileges and an empty environment always apply. */
export interface SandboxLayers {
  /** Runs as a separate user, if the service is root. */
  readonly user: boolean;
  /** Allows opening only its inputs, its program and the system's libraries (Landlock). */
  readonly files: boolean;
  /** Allows no sockets, no further processes and no tracing (seccomp). */
  readonly calls: boolean;
}

/** A program and its arguments. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

interface SandboxLimits {
  /** Limit of address space, bytes; `undefined` if the program reserves more than it uses, as Node.js does. */
  readonly addressSpaceBytes?: number;
  /** Limit of private memory, bytes. */
  readonly dataBytes?: number;
  readonly cpuSeconds: number;
  readonly openFiles: number;
  /** Default: the service's own. */
  readonly nice?: number;
}

export interface SandboxedRun {
  readonly limits: SandboxLimits;
  /** Number of input descriptors, from 3 on. */
  readonly inputs?: number;
  /** Further paths that may be read and executed. */
  readonly read?: readonly string[];
}

const PERL = '/usr/bin/perl';
/** Debian's `nobody`, by number because a container may lack the name. */
const OTHER_USER = 65_534;
/** Resources of setrlimit(2) on Linux. */
const RESOURCE = { cpu: 0, fileSize: 1, data: 2, core: 4, processes: 6, openFiles: 7, addressSpace: 9 } as const;
/** Process limit of the separate user in total, where only this limit prevents new processes. */
const OTHER_USER_PROCESSES = 512;
const TRIAL_TIMEOUT_MS = 20_000;

export const NO_LAYERS: SandboxLayers = { user: false, files: false, calls: false };

/** @returns The command that runs another one inside the sandbox. */
export function sandboxed(command: Command, layers: SandboxLayers, run: SandboxedRun): Command {
  const { limits, inputs = 0, read = [] } = run;
  const limit = (resource: number, value: number | undefined) =>
    value === undefined ? [] : [`limit=${resource}:${value}`];
  const args = [
    ...limit(RESOURCE.core, 0),
    ...limit(RESOURCE.fileSize, 0),
    ...limit(RESOURCE.cpu, limits.cpuSeconds),
    ...limit(RESOURCE.openFiles, limits.openFiles),
    ...limit(RESOURCE.addressSpace, limits.addressSpaceBytes),
    ...limit(RESOURCE.data, limits.dataBytes),
    ...(layers.user ? [`user=${OTHER_USER}`, ...limit(RESOURCE.processes, OTHER_USER_PROCESSES)] : []),
    ...(layers.files ? ['files=1', ...read.map((path) => `read=${path}`)] : []),
    ...(layers.calls ? ['calls=1'] : []),
    `inputs=${inputs}`,
    ...(limits.nice === undefined ? [] : [`nice=${limits.nice}`]),
  ];
  return { program: PERL, args: ['-e', SANDBOX_SCRIPT, '--', ...args, '--', command.program, ...command.args] };
}

/** Combinations of layers, strongest first. The separate user is dropped first, because a system may forbid it. */
const CHOICES: readonly SandboxLayers[] = [
  { user: true, files: true, calls: true },
  { user: false, files: true, calls: true },
  { user: true, files: false, calls: true },
  { user: false, files: false, calls: true },
  { user: true, files: true, calls: false },
  { user: false, files: true, calls: false },
  { user: true, files: false, calls: false },
  NO_LAYERS,
];

/**
 * Detects the strongest sandbox in which a command works on this system, by running it.
 * @param works A command that exits with 0 if it works.
 * @returns Its layers; `undefined` if it does not run even with limits alone (Perl or the program is missing).
 */
export function detectLayers(works: Command, run: SandboxedRun): SandboxLayers | undefined {
  return CHOICES.filter(({ user }) => !user || process.getuid?.() === 0).find((layers) => {
    const { program, args } = sandboxed(works, layers, run);
    const { status } = spawnSync(program, args, {
      stdio: ['ignore', 'ignore', 'ignore'],
      env: toolEnvironment(),
      timeout: TRIAL_TIMEOUT_MS,
    });
    return status === 0;
  });
}

/** @returns What the system lacks for the full sandbox, for people. */
export function missingLayers(layers: SandboxLayers): string[] {
  const { user, files, calls } = layers;
  return [
    ...(user || process.getuid?.() !== 0 ? [] : ['separate user']),
    ...(files ? [] : ['files (Landlock: Linux 5.13 or newer, enabled)']),
    ...(calls ? [] : ['network and processes (seccomp)']),
  ];
}

/**
 * An environment without the service's variables. OpenSSL, which Node.js initializes at its start, must not look for a file
 * that it can't open.
 */
export function toolEnvironment(): NodeJS.ProcessEnv {
  const path = process.env['PATH'] ?? '';
  return { PATH: path, LC_ALL: 'C', AV_LOG_FORCE_NOCOLOR: '1', OPENSSL_CONF: '/dev/null' };
}
