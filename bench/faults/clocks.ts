import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const LIBRARIES = '/usr/lib';
const FILE = 'faketime/libfaketime.so.1';

/**
 * Wall clocks of processes that can be stepped, by libfaketime (Debian: `libfaketime`); a process reads its file once a
 * second. Monotonic clocks are not affected. redis-server does not start under it (its allocator reads the time before the
 * library is ready); for Redis see {@link EXPIRE_SOONER}.
 */
export class Clocks {
  readonly #folder: string;
  readonly #library: string;

  /** @param folder folder for the offset files. @throws Error if libfaketime is not installed. */
  constructor(folder: string) {
    this.#folder = folder;
    const library = readdirSync(LIBRARIES)
      .map((triplet) => join(LIBRARIES, triplet, FILE))
      .find((path) => existsSync(path));
    if (library === undefined) throw new Error('libfaketime is needed to step clocks: apt-get install libfaketime');
    this.#library = library;
  }

  /** @returns the environment of a process with its own clock. */
  environment(name: string): Record<string, string> {
    this.set(name, 0);
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#file(name),
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** @param seconds how far its wall clock is ahead; negative if behind. */
  set(name: string, seconds: number): void {
    writeFileSync(this.#file(name), `${seconds < 0 ? '' : '+'}${seconds}\n`);
  }

  #file(name: string): string {
    return join(this.#folder, name);
  }
}

/**
 * Shortens the time to live of every key at once, as a forward step of Redis's clock would. ARGV: milliseconds; negative
 * values lengthen it, as a backward step would.
 */
export const EXPIRE_SOONER = `
local moved = 0
for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key)
  if left >= 0 then
    redis.call('PEXPIRE', key, left - tonumber(ARGV[1]))
    moved = moved + 1
  end
end
return moved`;
