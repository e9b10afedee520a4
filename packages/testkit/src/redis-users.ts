import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';

export type RedisName = 'redis-queue' | 'redis-media';

const RIGHTS = new URL('../../../infra/redis/rights', import.meta.url);

/**
 * @returns redis-server arguments that create a user for each service, with its rights in containers. The password is the
 * user name.
 */
export function userArguments(redis: RedisName): string[] {
  const rules = new Map<string, string[]>();
  for (const line of readFileSync(RIGHTS, 'utf8').split('\n')) {
    const [of, service = '', ...more] = line.split(/\s+/);
    if (of === redis) rules.set(service, [...(rules.get(service) ?? []), ...more]);
  }
  return [...rules].flatMap(([service, own]) => ['--user', service, 'on', `>${service}`, ...own]);
}

/** @returns the URL with which a service connects to a Redis on loopback as its own user. */
export function redisUrlFor(service: string, port: number): string {
  return `redis://${service}:${service}@127.0.0.1:${port}`;
}

/** @returns the commands denied to each user since the server started, such as `media-sender: set hc:avatars`. */
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
    return []; // The server is stopped or paused; it denied nothing.
  } finally {
    redis.disconnect();
  }
}

function fieldsOf(entry: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(entry.flatMap((name, i) => (i % 2 === 0 ? [[String(name), entry[i + 1]]] : [])));
}
