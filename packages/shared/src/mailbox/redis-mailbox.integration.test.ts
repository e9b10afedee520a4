import { startRedis } from '@humancast/testkit';
import { type Letter, LossyDeletes, letterSchema, mailboxSuite } from '../../testing/index.js';
import { keys } from '../keys.js';
import { createLogger } from '../log.js';
import { connectRedis, type Redis } from '../redis.js';
import { RedisMailbox, RedisMailSender } from './redis-mailbox.js';

const CAPACITY = 10_000;

mailboxSuite('RedisMailbox', async () => {
  const server = await startRedis({ appendOnly: true });
  const logger = createLogger('test', 'fatal');
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
    capacity: CAPACITY,
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
});
