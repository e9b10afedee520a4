import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';

export type RedisName = 'redis-queue' | 'redis-media';

const RIGHTS = new URL('../../../infra/redis/rights', import.meta.url);

/** Arguments of redis-server that make a user for each service, with the rights that it has in containers. Its password is its name. */
export function userArguments(redis: RedisName): string[] {
  const rules = new Map<string, string[]>();
  for (const line of readFileSync(RIGHTS, 'utf8').split('\n')) {
    const [of, service = '', ...more] = line.split(/\s+/);
    if (of === redis) rules.set(service, [...(rules.get(service) ?? []), ...more]);
  }
  return [...rules].flatMap(([service, own]) => ['--user', service, 'on', `>${service}`, ...own]);
}

/** The URL under which a service reaches a Redis on loopback as its own user. */
export function redisUrlFor(service: string, port: number): string {
  return `redis://${service}:${service}@127.0.0.1:${port}`;
}

/** @returns what each user was refused since the server started, such as `media-sender: set hc:avatars`. */
export async function refusalsOf(url: string): Promise<string[]> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  redis.on('error', () => {});
  try {
    await redis.connect();
    const entries = (await redis.call('ACL', 'LOG')) as unknown[][];
    return entries.map((entry) => {
      const { username, context, reason, object } = fieldsOf(entry);
      return `${username}: ${reason} ${object} (${context})`;
    });
  } catch {
    return []; // it has been stopped, or is paused: nobody was refused by it
  } finally {
    redis.disconnect();
  }
}

function fieldsOf(entry: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(entry.flatMap((name, i) => (i % 2 === 0 ? [[String(name), entry[i + 1]]] : [])));
}
