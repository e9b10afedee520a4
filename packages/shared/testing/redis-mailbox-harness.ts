import { keys } from '../src/keys.js';
import { createLogger } from '../src/log.js';
import { RedisMailbox, RedisMailSender } from '../src/mailbox/redis-mailbox.js';
import { connectRedis, type Redis } from '../src/redis.js';
import { LossyDeletes } from './lossy-deletes.js';
import { type Letter, letterSchema, type MailboxHarness } from './mailbox-suite.js';

interface RedisServer {
  readonly url: string;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Mailboxes on one Redis server or cluster, which the harness stops when it is closed. */
export function redisMailboxHarness(server: RedisServer): MailboxHarness {
  const logger = createLogger('test', 'silent');
  const connections: Redis[] = [];
  const readers = new Map<unknown, Redis>();
  const connect = (waitForReconnect: boolean) => {
    const redis = connectRedis(server.url, { name: 'test', logger, waitForReconnect });
    connections.push(redis);
    return redis;
  };
  const commands = connect(true);
  const lossy = new LossyDeletes(commands);
  return {
    capacity: 10_000,
    makeMailbox(address) {
      const reader = connect(true);
      const mailbox = new RedisMailbox<Letter>(address, reader, lossy.redis, letterSchema, logger);
      readers.set(mailbox, reader);
      return mailbox;
    },
    makeSender: () => new RedisMailSender<Letter>(connect(false)),
    restart: () => server.restart(),
    async abandon(mailbox) {
      readers.get(mailbox)?.disconnect();
      await commands.pexpire(keys.mailbox(mailbox.address), 1);
      while ((await commands.exists(keys.mailbox(mailbox.address))) === 1) await commands.ping();
    },
    async spoil(address, text) {
      await commands.xadd(keys.mailbox(address), '*', 'm', text);
    },
    loseDeletions: (...when) => lossy.lose(...when),
    breakDeletions: () => lossy.break(),
    kept: (address) => commands.xlen(keys.mailbox(address)),
    async stuff(address, count) {
      const pipeline = commands.pipeline();
      for (let n = 0; n < count; n++) pipeline.xadd(keys.mailbox(address), '*', 'm', JSON.stringify({ n }));
      await pipeline.exec();
    },
    async close() {
      for (const connection of connections) connection.disconnect();
      await server.stop();
    },
  };
}
