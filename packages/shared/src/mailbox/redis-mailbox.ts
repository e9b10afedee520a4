import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { keys } from '../keys.js';
import type { Logger } from '../log.js';
import type { Redis } from '../redis.js';
import type { Mailbox, Post } from './mailbox.js';

/** Messages that may wait unread; more than this means that the reader is stuck. */
const CAPACITY = 10_000;
/** A mailbox whose reader has not refreshed it for this long is gone. */
const TTL_SECONDS = 30;
const REFRESH_MS = 5000;
const BLOCK_MS = 5000;
const CLOSE_TIMEOUT_MS = 1000;
const BATCH = 256;
const FIELD = 'm';

/**
 * Appends unless the stream is missing (no reader) or full. One script, because XADD's own NOMKSTREAM and MAXLEN would
 * silently drop the oldest message of a full mailbox.
 */
const SEND = `
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('XADD', KEYS[1], '*', '${FIELD}', ARGV[1])
return 1`;

/** One Redis stream, read by one blocking connection of its own. */
export class RedisMailbox<T> implements Mailbox<T> {
  readonly address: string;
  readonly #reader: Redis;
  readonly #commands: Redis;
  readonly #schema: z.ZodType<T, unknown>;
  readonly #logger: Logger;
  readonly #key: string;
  #refresh: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  #closed = false;

  /** @param reader a connection used for nothing else; closed with the mailbox. It must wait for reconnection. */
  constructor(address: string, reader: Redis, commands: Redis, schema: z.ZodType<T, unknown>, logger: Logger) {
    this.address = address;
    this.#reader = reader;
    this.#commands = commands;
    this.#schema = schema;
    this.#logger = logger;
    this.#key = keys.mailbox(address);
  }

  async open(onMessage: (message: T) => void | Promise<void>): Promise<void> {
    await this.#keepAlive();
    this.#refresh = setInterval(() => void this.#keepAlive().catch(() => {}), REFRESH_MS);
    this.#reading = this.#read(onMessage);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#refresh);
    this.#reader.disconnect();
    // While Redis is away neither may ever settle; the stream expires by itself then.
    await Promise.race([this.#remove(), sleep(CLOSE_TIMEOUT_MS, undefined, { ref: false })]);
  }

  async #remove(): Promise<void> {
    await this.#reading;
    await this.#commands.unlink(this.#key).catch(() => 0);
  }

  /** Creates the stream when it is missing (first start, or Redis lost its data) and renews its time to live. */
  async #keepAlive(): Promise<void> {
    if ((await this.#commands.expire(this.#key, TTL_SECONDS)) === 1) return;
    const id = await this.#commands.xadd(this.#key, '*', FIELD, '');
    if (id !== null) await this.#commands.multi().xdel(this.#key, id).expire(this.#key, TTL_SECONDS).exec();
  }

  async #read(onMessage: (message: T) => void | Promise<void>): Promise<void> {
    while (!this.#closed) {
      try {
        // Read messages are removed, so reading always starts at the beginning, whatever Redis did in between.
        const streams = await this.#reader.xread('COUNT', BATCH, 'BLOCK', BLOCK_MS, 'STREAMS', this.#key, '0');
        const entries = streams?.[0]?.[1] ?? [];
        if (entries.length === 0) continue;
        // Removed before they are handled: a message is acted on once, even if this process dies half-way.
        await this.#commands.xdel(this.#key, ...entries.map(([id]) => id));
        for (const [, fields] of entries) this.#deliver(fields[1] ?? '', onMessage);
      } catch (error) {
        if (this.#closed) return;
        this.#logger.warn({ err: (error as Error).message, mailbox: this.address }, 'mailbox read failed');
        await sleep(200);
      }
    }
  }

  #deliver(text: string, onMessage: (message: T) => void | Promise<void>): void {
    if (text === '') return;
    const report = (error: unknown) =>
      this.#logger.error(
        { err: error instanceof Error ? error.message : error, mailbox: this.address },
        'mailbox message failed',
      );
    try {
      const handled = onMessage(this.#schema.parse(JSON.parse(text)));
      if (handled) handled.catch(report);
    } catch (error) {
      report(error);
    }
  }
}

export class RedisPost<T> implements Post<T> {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async send(address: string, message: T): Promise<boolean> {
    return (await this.#redis.eval(SEND, 1, keys.mailbox(address), JSON.stringify(message), CAPACITY)) === 1;
  }
}
