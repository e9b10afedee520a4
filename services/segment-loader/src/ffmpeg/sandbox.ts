import { spawnSync } from 'node:child_process';
import { SANDBOX_SCRIPT } from './sandbox-script.js';

/** What may be in force besides limits, no new privileges and an empty environment, which always are. */
export interface SandboxLayers {
  /** A user of its own, if the service is root. */
  readonly user: boolean;
  /** Nothing but its inputs, its program and the system's libraries can be opened (Landlock). */
  readonly files: boolean;
  /** No sockets, no further processes, no tracing (seccomp). */
  readonly calls: boolean;
}

/** A program with its arguments. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
}

interface SandboxLimits {
  /** Bytes of address space, or `undefined` where the program reserves more than it uses, as Node.js does. */
  readonly addressSpaceBytes?: number;
  /** Bytes of private memory. */
  readonly dataBytes?: number;
  readonly cpuSeconds: number;
  readonly openFiles: number;
  /** Default: the service's own. */
  readonly nice?: number;
}

export interface SandboxedRun {
  readonly limits: SandboxLimits;
  /** How many descriptors from 3 on are inputs. */
  readonly inputs?: number;
  /** Further paths that may be read and executed. */
  readonly read?: readonly string[];
}

const PERL = '/usr/bin/perl';
/** Debian's `nobody`, by number, as there need be no such name in a container. */
const OTHER_USER = 65_534;
/** Resources of setrlimit(2) on Linux. */
const RESOURCE = { cpu: 0, fileSize: 1, data: 2, core: 4, processes: 6, openFiles: 7, addressSpace: 9 } as const;
/** Of the other user all together, where only the user keeps it from making more. */
const OTHER_USER_PROCESSES = 512;
const TRIAL_TIMEOUT_MS = 20_000;

export const NO_LAYERS: SandboxLayers = { user: false, files: false, calls: false };

/** The command that runs another one inside the sandbox. */
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

/** Strongest first. A user of its own is given up first: it is the layer that a system's set-up may forbid. */
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
 * Finds the strongest sandbox in which a command works here, by running it.
 * @param works a command that ends with 0 when it can do its work.
 * @returns its layers; `undefined` when it does not even run with limits alone (Perl is missing, or the program is).
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

/** What a system lacks for the full sandbox, for people. */
export function missingLayers(layers: SandboxLayers): string[] {
  const { user, files, calls } = layers;
  return [
    ...(user || process.getuid?.() !== 0 ? [] : ['a user of its own']),
    ...(files ? [] : ['files (Landlock: Linux 5.13 or newer, enabled)']),
    ...(calls ? [] : ['network and processes (seccomp)']),
  ];
}

/** None of the service's environment. OpenSSL, which Node.js sets up at its start, must not look for a file it can't open. */
export function toolEnvironment(): NodeJS.ProcessEnv {
  const path = process.env['PATH'] ?? '';
  return { PATH: path, LC_ALL: 'C', AV_LOG_FORCE_NOCOLOR: '1', OPENSSL_CONF: '/dev/null' };
}
