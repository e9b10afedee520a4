import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { keys } from '../keys.js';
import type { Logger } from '../log.js';
import { readRecord } from '../records/read-record.js';
import { type Redis, runScript, untilWritten } from '../redis.js';
import type { Mailbox, MailSender } from './mailbox.js';

/** Limit of unread messages; beyond it the reader is considered stuck. */
const CAPACITY = 10_000;
/** Time after which a mailbox that its reader has not refreshed expires. */
const TTL_SECONDS = 30;
const REFRESH_MS = 5000;
const BLOCK_MS = 5000;
const CLOSE_TIMEOUT_MS = 1000;
const BATCH = 256;
const FIELD = 'm';
/** The result of {@link SEND} for a full mailbox. */
const FULL = -1;

/**
 * Appends unless the stream is missing (no reader) or full. This needs a script, because XADD's own NOMKSTREAM and MAXLEN
 * would silently drop the oldest message of a full mailbox.
 */
const SEND = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return ${FULL} end
redis.call('XADD', KEYS[1], '*', '${FIELD}', ARGV[1])
return 1`;

/** A mailbox in a Redis stream, read by a dedicated blocking connection. */
export class RedisMailbox<T> implements Mailbox<T> {
  readonly address: string;
  readonly #reader: Redis;
  readonly #commands: Redis;
  readonly #schema: z.ZodType<T, unknown>;
  readonly #logger: Logger;
  readonly #key: string;
  #refresh: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  /** IDs of messages that were delivered and may not be deleted yet: at most as many as the mailbox holds. */
  readonly #delivered = new Set<string>();
  #closed = false;

  /** @param reader A dedicated connection that is closed with the mailbox. It must retry while disconnected. */
  constructor(address: string, reader: Redis, commands: Redis, schema: z.ZodType<T, unknown>, logger: Logger) {
    this.address = address;
    this.#reader = reader;
    this.#commands = commands;
    this.#schema = schema;
    this.#logger = logger;
    this.#key = keys.mailbox(address);
  }

  async open(onMessage: (message: T) => void | Promise<void>): Promise<void> {
    await untilWritten(() => this.#keepAlive());
    this.#refresh = setInterval(() => void this.#keepAlive().catch(() => {}), REFRESH_MS);
    this.#reading = this.#read(onMessage);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#refresh);
    this.#reader.disconnect();
    // While Redis is unreachable neither may settle; the stream then expires by itself.
    await Promise.race([this.#remove(), sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
  }

  async #remove(): Promise<void> {
    await this.#reading;
    await this.#commands.unlink(this.#key).catch(() => 0);
  }

  /** Creates the stream if it is missing (first start, or Redis lost its data) and renews its TTL. */
  async #keepAlive(): Promise<void> {
    if ((await this.#commands.expire(this.#key, TTL_SECONDS)) === 1) return;
    const id = await this.#commands.xadd(this.#key, '*', FIELD, '');
    if (id !== null) await this.#commands.multi().xdel(this.#key, id).expire(this.#key, TTL_SECONDS).exec();
  }

  async #read(onMessage: (message: T) => void | Promise<void>): Promise<void> {
    while (!this.#closed) {
      try {
        // Delivered messages are deleted, so reading always starts at the beginning, whatever Redis did in between.
        const streams = await this.#reader.xread('COUNT', BATCH, 'BLOCK', BLOCK_MS, 'STREAMS', this.#key, '0');
        const entries = streams?.[0]?.[1] ?? [];
        if (entries.length > 0) await this.#take(entries, onMessage);
      } catch (error) {
        if (this.#closed) return;
        this.#logger.warn({ err: (error as Error).message, mailbox: this.address }, 'mailbox read failed');
        await sleep(200);
      }
    }
  }

  /**
   * Delivers first and deletes afterwards: if deleting fails, or its answer is lost, the same entries are read again,
   * recognized by their IDs, and only deleted. The process is the only reader and its messages are worthless after it ends,
   * so keeping the IDs in memory suffices.
   */
  async #take(
    entries: readonly [id: string, fields: string[]][],
    onMessage: (message: T) => void | Promise<void>,
  ): Promise<void> {
    for (const [id, fields] of entries) {
      if (this.#delivered.has(id)) continue;
      this.#delivered.add(id);
      this.#deliver(fields[1] ?? '', onMessage);
    }
    await this.#commands.xdel(this.#key, ...entries.map(([id]) => id));
    // The stream was read from its beginning, so no older entry is left.
    this.#delivered.clear();
  }

  #deliver(text: string, onMessage: (message: T) => void | Promise<void>): void {
    if (text === '') return;
    const report = (error: unknown) =>
      this.#logger.error(
        { err: error instanceof Error ? error.message : error, mailbox: this.address },
        'mailbox message failed',
      );
    const message = readRecord('message', typeOf(text), this.#schema, text);
    if (message === undefined) return;
    try {
      const handled = onMessage(message);
      if (handled) handled.catch(report);
    } catch (error) {
      report(error);
    }
  }
}

/** Name of an unreadable message in metrics and logs. */
function typeOf(text: string): string {
  return /^\{"type":"([\w.]{1,64})"/.exec(text)?.[1] ?? 'unknown';
}

export class RedisMailSender<T> implements MailSender<T> {
  readonly #redis: Redis;
  readonly #logger: Logger | undefined;

  /** @param logger Receives a warning when a mailbox is full. */
  constructor(redis: Redis, logger?: Logger) {
    this.#redis = redis;
    this.#logger = logger;
  }

  async send(address: string, message: T): Promise<boolean> {
    const sent = await runScript(this.#redis, SEND, [keys.mailbox(address)], JSON.stringify(message), CAPACITY);
    if (sent === FULL) this.#logger?.error({ mailbox: address, capacity: CAPACITY }, 'mailbox full, message rejected');
    return sent === 1;
  }
}
