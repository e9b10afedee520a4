import { fileURLToPath } from 'node:url';
import type { LoaderConfig, Logger } from '@humancast/shared';
import {
  type Command,
  detectLayers,
  missingLayers,
  type SandboxedRun,
  type SandboxLayers,
  sandboxed,
} from './sandbox.js';

type SandboxMode = 'auto' | 'strict' | 'off';

/** 4 GiB, which suffices for an 8K source and keeps a runaway decoder from exhausting the machine's memory. */
const MEMORY_BYTES = 4 * 2 ** 30;
const OPEN_FILES = 256;
/** Loads yield the CPU to everything that plays to a viewer, which includes live pushes. */
const LOAD_NICE = 10;
/** ffprobe is stopped after 30 s by the service; this limit also holds if the service has ended. */
const PROBE_CPU_SECONDS = 60;
const DEFAULT_CPU_SECONDS = 86_400;
/** CPU time limit per ffmpeg thread, s: this base plus {@link CPU_PER_MEDIA} times the longest media, more than any load needs. */
const CPU_BASE_SECONDS = 600;
const CPU_PER_MEDIA = 20;

/** Root of the repository, relative to this file in `src/` or `dist/`. */
const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

/** Sandboxing of ffmpeg, ffprobe and the live encoder in this process. */
export interface Sandbox {
  /** `undefined`: shell limits only. */
  readonly tools: SandboxLayers | undefined;
  readonly encoder: SandboxLayers | undefined;
  /** CPU time limit of one ffmpeg and of one live encoder, s. */
  readonly cpuSeconds: number;
}

export interface SandboxOptions {
  readonly mode: SandboxMode;
  readonly cpuSeconds: number;
  /** Node.js arguments that start the live encoder. */
  readonly encoderCommand: readonly string[];
  readonly logger: Logger;
}

let current: Sandbox | undefined;
/** Detected layers by command; they don't change while this process runs. */
const detected = new Map<string, SandboxLayers | undefined>();

/** @returns CPU time limit of one ffmpeg and of one live encoder, s. */
export function cpuLimitSeconds(config: Pick<LoaderConfig, 'ffmpegThreads' | 'maxDurationSeconds'>): number {
  return config.ffmpegThreads * (CPU_BASE_SECONDS + CPU_PER_MEDIA * config.maxDurationSeconds);
}

/** @returns The sandbox that was entered; before that, the strongest that works for ffmpeg on this system. */
export function currentSandbox(): Sandbox {
  current ??= { tools: detectTools(), encoder: undefined, cpuSeconds: DEFAULT_CPU_SECONDS };
  return current;
}

/**
 * Detects which sandbox works on this system, logs it in one line, and uses it from now on.
 * @throws Error in `strict` mode; it names what is missing.
 */
export function enterSandbox({ mode, cpuSeconds, encoderCommand, logger }: SandboxOptions): void {
  if (mode === 'off') {
    current = { tools: undefined, encoder: undefined, cpuSeconds };
    logger.warn('ffmpeg sandbox is off: FFMPEG_SANDBOX=off');
    return;
  }
  const tools = detectTools();
  const node = { program: process.execPath, args: encoderCommand };
  const encoder = detect(node, { limits: encoderLimits(cpuSeconds), read: encoderPaths() });
  current = { tools, encoder, cpuSeconds };
  const missing = { ffmpeg: missingOf(tools), encoder: missingOf(encoder) };
  const isFull = missing.ffmpeg.length === 0 && missing.encoder.length === 0;
  if (!isFull && mode === 'strict') throw new Error(`FFMPEG_SANDBOX=strict: ${describe(missing)}`);
  const fields = { ffmpeg: tools ?? 'limits only', encoder: encoder ?? 'none' };
  if (isFull) logger.info(fields, 'ffmpeg sandbox is in force');
  else logger.warn({ ...fields, missing }, 'ffmpeg sandbox is incomplete');
}

/** @returns The command that runs ffmpeg or ffprobe in a sandbox. */
export function toolCommand(
  tool: 'ffmpeg' | 'ffprobe',
  args: readonly string[],
  inputs: number,
  layers: SandboxLayers,
): Command {
  return sandboxed(
    { program: tool, args },
    layers,
    toolRun(tool === 'ffprobe' ? PROBE_CPU_SECONDS : currentSandbox().cpuSeconds, inputs),
  );
}

/** @returns The command of the live encoder, in a sandbox if one works. */
export function encoderCommandLine(encoderCommand: readonly string[]): Command {
  const command = { program: process.execPath, args: encoderCommand };
  const { encoder, cpuSeconds } = currentSandbox();
  if (!encoder) return command;
  return sandboxed(command, encoder, { limits: encoderLimits(cpuSeconds), read: encoderPaths() });
}

function toolRun(cpuSeconds: number, inputs = 0): SandboxedRun {
  return { limits: { addressSpaceBytes: MEMORY_BYTES, cpuSeconds, openFiles: OPEN_FILES, nice: LOAD_NICE }, inputs };
}

/** No limit of address space, because Node.js reserves far more than it uses. */
function encoderLimits(cpuSeconds: number): SandboxedRun['limits'] {
  return { dataBytes: MEMORY_BYTES, cpuSeconds, openFiles: OPEN_FILES };
}

/** Excludes the repository's root, where `.humancast` keeps keys, and the folder of a built console. */
function encoderPaths(): string[] {
  return [process.execPath, ...['node_modules', 'packages', 'services/segment-loader'].map((folder) => ROOT + folder)];
}

function detectTools(): SandboxLayers | undefined {
  return detect({ program: 'ffmpeg', args: ['-v', 'error', '-version'] }, toolRun(PROBE_CPU_SECONDS));
}

function detect(works: Command, run: SandboxedRun): SandboxLayers | undefined {
  const key = [works.program, ...works.args].join('\0');
  if (!detected.has(key)) detected.set(key, detectLayers(works, run));
  return detected.get(key);
}

function missingOf(layers: SandboxLayers | undefined): string[] {
  return layers ? missingLayers(layers) : ['everything (Perl is missing)'];
}

function describe(missing: Record<string, string[]>): string {
  return Object.entries(missing)
    .filter(([, layers]) => layers.length > 0)
    .map(([program, layers]) => `the ${program} would run without: ${layers.join(', ')}`)
    .join('; ');
}
