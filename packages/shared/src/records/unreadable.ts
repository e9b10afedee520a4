import { z } from 'zod';
import type { Logger } from '../log.js';

/** Kind of a stored record, as a label of the metric and a field of the log. */
export type RecordKind =
  | 'avatar'
  | 'avatar-problems'
  | 'decisions'
  | 'event'
  | 'job'
  | 'live-part'
  | 'message'
  | 'playhead'
  | 'segment'
  | 'segment-file'
  | 'sender'
  | 'session'
  | 'viewer'
  | 'voice';

/** Interval after which a record that stays unreadable is logged again. */
const LOG_AGAIN_MS = 600_000;
/** Maximum number of log lines per {@link WINDOW_MS}; the metric counts the rest. */
const LINES_PER_WINDOW = 20;
const WINDOW_MS = 60_000;
const NAMES_KEPT = 1000;
const NAME_LENGTH = 80;

/**
 * Counts stored records that this process skipped because it cannot read them, and logs each name once per {@link
 * LOG_AGAIN_MS}, at most {@link LINES_PER_WINDOW} lines a minute.
 */
export class UnreadableRecords {
  readonly #nowMs: () => number;
  readonly #counts = new Map<RecordKind, number>();
  readonly #loggedMs = new Map<string, number>();
  #logger: Logger | undefined;
  #windowStartMs = Number.NEGATIVE_INFINITY;
  #lines = 0;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  logTo(logger: Logger): void {
    this.#logger = logger;
  }

  get counts(): ReadonlyMap<RecordKind, number> {
    return this.#counts;
  }

  /** @param name The record's ID, or the type of the event or message, so that each type is logged once. */
  add(kind: RecordKind, name: string, reason: string): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    if (!this.#logger || !this.#mayLog(`${kind} ${name.slice(0, NAME_LENGTH)}`)) return;
    this.#logger.warn(
      { kind, record: name.slice(0, NAME_LENGTH), reason, count: this.#counts.get(kind) },
      'stored record passed over: not of a form this version reads',
    );
  }

  #mayLog(key: string): boolean {
    const nowMs = this.#nowMs();
    if (nowMs - (this.#loggedMs.get(key) ?? Number.NEGATIVE_INFINITY) < LOG_AGAIN_MS) return false;
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#lines = 0;
    }
    if (this.#lines >= LINES_PER_WINDOW) return false;
    this.#lines++;
    this.#loggedMs.delete(key);
    this.#loggedMs.set(key, nowMs);
    const [oldest] = this.#loggedMs.keys();
    if (this.#loggedMs.size > NAMES_KEPT && oldest !== undefined) this.#loggedMs.delete(oldest);
    return true;
  }
}

/** The process-wide instance, to which every reader of stored records adds. */
export const unreadableRecords = new UnreadableRecords();

/** @returns Why a record could not be read, in one line. */
export function reasonOf(error: unknown): string {
  if (error instanceof z.ZodError) {
    const [issue] = error.issues;
    return issue ? `${issue.path.join('.') || 'record'}: ${issue.message}` : 'unknown form';
  }
  return error instanceof Error ? error.message : String(error);
}
