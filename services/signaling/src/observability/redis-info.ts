/** Selected fields of a database's `INFO`. */
export interface RedisInfo {
  readonly memoryBytes: number;
  /**
   * `maxmemory`; 0 if not set. The machine's memory is no limit: a container's is lower, and exceeding it ends the process.
   */
  readonly memoryLimitBytes: number;
  readonly clients: number;
  readonly evictedKeys: number;
  /** Whether the last write to disk succeeded; otherwise Redis rejects all writes. Always `true` without persistence. */
  readonly diskOk: boolean;
}

/** Sections that {@link parseRedisInfo} reads. */
export const REDIS_INFO_SECTIONS = ['memory', 'clients', 'stats', 'persistence'] as const;

/** @param text Answer to `INFO`: lines of `name:value`. Missing values, as of some hosted databases, are read as 0. */
export function parseRedisInfo(text: string): RedisInfo {
  const values = new Map(
    text.split('\r\n').flatMap((line) => {
      const colon = line.indexOf(':');
      return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const];
    }),
  );
  const figure = (name: string) => {
    const value = Number(values.get(name) ?? 0);
    return Number.isFinite(value) ? value : 0;
  };
  return {
    memoryBytes: figure('used_memory'),
    memoryLimitBytes: figure('maxmemory'),
    clients: figure('connected_clients'),
    evictedKeys: figure('evicted_keys'),
    diskOk: figure('aof_enabled') === 0 || values.get('aof_last_write_status') !== 'err',
  };
}

/** @returns The nodes of a cluster combined as one database. */
export function sumOfRedisInfo(nodes: readonly RedisInfo[]): RedisInfo {
  const sum = (figure: Exclude<keyof RedisInfo, 'diskOk'>) => nodes.reduce((total, node) => total + node[figure], 0);
  return {
    memoryBytes: sum('memoryBytes'),
    memoryLimitBytes: sum('memoryLimitBytes'),
    clients: sum('clients'),
    evictedKeys: sum('evictedKeys'),
    diskOk: nodes.every(({ diskOk }) => diskOk),
  };
}
