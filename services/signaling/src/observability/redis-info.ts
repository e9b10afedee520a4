/** What matters of a database's `INFO`. */
export interface RedisInfo {
  readonly memoryBytes: number;
  /** `maxmemory`, or all that the machine has where none is set. */
  readonly memoryLimitBytes: number;
  readonly clients: number;
  readonly evictedKeys: number;
}

/** The sections that {@link parseRedisInfo} reads. */
export const REDIS_INFO_SECTIONS = ['memory', 'clients', 'stats'] as const;

/** @param text as `INFO` answers it: `name:value` a line. A figure that is missing, as some hosted databases do, is 0. */
export function parseRedisInfo(text: string): RedisInfo {
  const figures = new Map(
    text.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':');
      return colon === -1 ? [] : [[line.slice(0, colon), Number(line.slice(colon + 1))] as const];
    }),
  );
  const figure = (name: string) => {
    const value = figures.get(name) ?? 0;
    return Number.isFinite(value) ? value : 0;
  };
  return {
    memoryBytes: figure('used_memory'),
    memoryLimitBytes: figure('maxmemory') || figure('total_system_memory'),
    clients: figure('connected_clients'),
    evictedKeys: figure('evicted_keys'),
  };
}

/** Of the nodes of a cluster, as of one database. */
export function sumOfRedisInfo(nodes: readonly RedisInfo[]): RedisInfo {
  const sum = (figure: keyof RedisInfo) => nodes.reduce((total, node) => total + node[figure], 0);
  return {
    memoryBytes: sum('memoryBytes'),
    memoryLimitBytes: sum('memoryLimitBytes'),
    clients: sum('clients'),
    evictedKeys: sum('evictedKeys'),
  };
}
