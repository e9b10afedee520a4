import { startRedis } from '@humancast/testkit';
import { mailboxSuite, redisMailboxHarness } from '../../testing/index.js';

mailboxSuite('RedisMailbox', async () => redisMailboxHarness(await startRedis({ appendOnly: true })));
