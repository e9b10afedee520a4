import { setTimeout as sleep } from 'node:timers/promises';
import type { FuzzRandom, StackProcess } from '@humancast/testkit';
import type { Redis } from 'ioredis';
import { type Clocks, EXPIRE_SOONER } from './clocks.ts';
import { FAULTS, type Fault, type FaultScene, withRedis } from './faults.ts';
import type { LinkCut, Network } from './network.ts';
import type { SmallDisk } from './small-disk.ts';

/** A stack whose network, disks and clocks the tool controls. */
export interface HardScene extends FaultScene {
  readonly network: Network;
  readonly clocks: Clocks;
  readonly queueDisk: SmallDisk;
  readonly loaderDisk: SmallDisk;
}

/** The part that a fault breaks; concurrent faults break different parts. */
type Part = 'sender' | 'sender-links' | 'signaling' | 'loader' | 'queue' | 'media' | 'turn' | 'viewers';

/** A kind of fault. Its details are drawn when it is planned, so that the seed determines all of them. */
export interface FaultKind {
  readonly part: Part;
  draw(random: FuzzRandom, pace: Pace): Fault<HardScene>;
}

/** Minimum and maximum duration of a fault, ms. */
export interface Pace {
  readonly pauseMs: Range;
  readonly cutMs: Range;
  readonly fullMs: Range;
}
type Range = readonly [least: number, most: number];

/** Pauses longer than every timer of the stack: leases, grace periods, timeouts. */
export const FULL_PACE: Pace = { pauseMs: [20_000, 32_000], cutMs: [1000, 30_000], fullMs: [3000, 15_000] };
/** Shorter durations, for a test of a minute. */
export const SHORT_PACE: Pace = { pauseMs: [3000, 6000], cutMs: [1000, 6000], fullMs: [2000, 4000] };

const CLOCK_STEPS_SECONDS = [-90, -5, 5, 90];
/** Longer than a lease, shorter than the lifetime of a session that nobody joined. */
const REDIS_STEPS_MS = [-5000, 1500, 10_000];
const STEPPED_MS = [4000, 12_000] as const;
const CUTS: readonly (LinkCut & { readonly what: string })[] = [
  { requests: true, replies: true, what: 'cut' },
  { requests: true, replies: false, what: 'cut one way (requests)' },
  { requests: false, replies: true, what: 'cut one way (replies)' },
];

export const HARD_FAULTS = {
  ...classic('sender', ['killSender', 'stopSender', 'drainSender']),
  ...classic('signaling', ['killSignaling', 'stopSignaling']),
  ...classic('loader', ['killLoader']),
  ...classic('queue', ['restartQueueRedis', 'slowQueueRedis']),
  ...classic('media', ['restartMediaRedis', 'slowMediaRedis']),
  ...classic('turn', ['restartTurn']),
  ...classic('viewers', ['refreshPages', 'loseViewers']),
  pauseSender: pause('sender', 'media-sender'),
  pauseSignaling: pause('signaling', 'signaling'),
  pauseLoader: pause('loader', 'segment-loader'),
  pauseQueueRedis: pauseServer('queue', 'redis-queue', ({ stack }) => stack.redisQueue),
  pauseMediaRedis: pauseServer('media', 'redis-media', ({ stack }) => stack.redisMedia),
  pauseTurn: pauseServer('turn', 'coturn', ({ stack }) => stack.turn),
  cutSenderQueue: cut('sender-links', 'media-sender', 'queue'),
  cutSenderMedia: cut('sender-links', 'media-sender', 'media'),
  cutSignalingQueue: cut('signaling', 'signaling', 'queue'),
  cutSignalingMedia: cut('signaling', 'signaling', 'media'),
  cutLoaderMedia: cut('loader', 'segment-loader', 'media'),
  cutLoaderQueue: cut('loader', 'segment-loader', 'queue'),
  stepSenderClock: stepHost('sender', 'media-sender'),
  stepSignalingClock: stepHost('signaling', 'signaling'),
  stepQueueClock: stepRedis('queue', 'redis-queue', ({ stack }) => stack.redisQueue.url),
  stepMediaClock: stepRedis('media', 'redis-media', ({ stack }) => stack.redisMedia.url),
  fillQueueDisk: fillDisk('queue', 'redis-queue', ({ queueDisk }) => queueDisk),
  fillLoaderDisk: fillDisk('loader', 'the archive and scratch folder', ({ loaderDisk }) => loaderDisk),
  fillQueueMemory: fillMemory('queue', 'redis-queue', ({ stack }) => stack.redisQueue.url),
  fillMediaMemory: fillMemory('media', 'redis-media', ({ stack }) => stack.redisMedia.url),
} satisfies Record<string, FaultKind>;

type ClassicName = keyof typeof FAULTS;

/** Faults that need no controlled network, disk or clock. */
function classic<Name extends ClassicName>(part: Part, names: readonly Name[]): Record<Name, FaultKind> {
  const kinds = names.map((name): [Name, FaultKind] => [name, { part, draw: () => FAULTS[name] }]);
  return Object.fromEntries(kinds) as Record<Name, FaultKind>;
}

function pause(part: Part, service: string): FaultKind {
  return {
    part,
    draw: (random, { pauseMs }) => {
      const [ms, choice] = [within(random, pauseMs), random.next()];
      return {
        name: `a ${service} is paused for ${seconds(ms)}`,
        overlaps: false,
        run: async (scene) => {
          const victim = processOf(scene, service, choice);
          victim.signal('SIGSTOP');
          await sleep(ms);
          victim.signal('SIGCONT');
        },
      };
    },
  };
}

function pauseServer(
  part: Part,
  name: string,
  serverOf: (scene: HardScene) => { signal(signal: NodeJS.Signals): void } | undefined,
): FaultKind {
  return {
    part,
    draw: (random, { pauseMs }) => {
      const ms = within(random, pauseMs);
      return {
        name: `${name} is paused for ${seconds(ms)}`,
        overlaps: false,
        delaysMedia: part === 'turn',
        run: async (scene) => {
          serverOf(scene)?.signal('SIGSTOP');
          await sleep(ms);
          serverOf(scene)?.signal('SIGCONT');
        },
      };
    },
  };
}

function cut(part: Part, service: string, redis: 'queue' | 'media'): FaultKind {
  return {
    part,
    draw: (random, { cutMs }) => {
      const [{ what, ...directions }, ms, choice] = [random.pick(CUTS), within(random, cutMs), random.next()];
      const [all, reset] = [random.chance(0.25), random.chance(0.5)];
      const who = all ? `every ${service}` : `a ${service}`;
      const end = reset ? 'its connections break' : 'held data arrives';
      return {
        name: `${who} is ${what} from redis-${redis} for ${seconds(ms)}, then ${end}`,
        overlaps: false,
        run: async (scene) => {
          const instance = all ? undefined : processOf(scene, service, choice).instance;
          const links = scene.network.linksOf(service, redis, instance);
          await scene.network.cut(links, directions);
          await sleep(ms);
          await scene.network.mend(links, { reset });
        },
      };
    },
  };
}

/** Steps a host's wall clock, and steps it back. */
function stepHost(part: Part, service: string): FaultKind {
  return {
    part,
    draw: (random) => {
      const [step, ms, choice] = [random.pick(CLOCK_STEPS_SECONDS), within(random, STEPPED_MS), random.next()];
      return {
        name: `the clock of a ${service} is off by ${step} s for ${seconds(ms)}`,
        overlaps: false,
        run: async ({ clocks, ...scene }) => {
          const name = clockOf(processOf(scene, service, choice));
          clocks.set(name, step);
          await sleep(ms);
          clocks.set(name, 0);
        },
      };
    },
  };
}

/** Shifts all expiries in Redis at once, as a step of its wall clock would. It is not undone. */
function stepRedis(part: Part, name: string, urlOf: (scene: HardScene) => string): FaultKind {
  return {
    part,
    draw: (random) => {
      const ms = random.pick(REDIS_STEPS_MS);
      return {
        name: `the clock of ${name} steps by ${ms} ms`,
        overlaps: false,
        run: (scene) =>
          withRedis(urlOf(scene), async (redis) => {
            await redis.call('EVAL', EXPIRE_SOONER, '0', String(ms));
          }),
      };
    },
  };
}

function fillDisk(part: Part, name: string, diskOf: (scene: HardScene) => SmallDisk): FaultKind {
  return {
    part,
    draw: (random, { fullMs }) => {
      const ms = within(random, fullMs);
      return {
        name: `the disk under ${name} is full for ${seconds(ms)}`,
        overlaps: false,
        run: async (scene) => {
          diskOf(scene).fill();
          await sleep(ms);
          diskOf(scene).empty();
        },
      };
    },
  };
}

function fillMemory(part: Part, name: string, urlOf: (scene: HardScene) => string): FaultKind {
  return {
    part,
    draw: (random, { fullMs }) => {
      const ms = within(random, fullMs);
      return {
        name: `${name} has no memory left for ${seconds(ms)}`,
        overlaps: false,
        run: (scene) => withRedis(urlOf(scene), (redis) => withoutMemory(redis, ms)),
      };
    },
  };
}

async function withoutMemory(redis: Redis, ms: number): Promise<void> {
  const [, before = '0'] = (await redis.config('GET', 'maxmemory')) as string[];
  await redis.config('SET', 'maxmemory', '1');
  try {
    await sleep(ms);
  } finally {
    await redis.config('SET', 'maxmemory', before);
  }
}

/** @returns the name of a process's clock. */
export function clockOf({ name, instance }: Pick<StackProcess, 'name' | 'instance'>): string {
  return `${name}-${instance}`;
}

function processOf({ stack }: Pick<FaultScene, 'stack'>, service: string, choice: number): StackProcess {
  const all = stack.processes.filter(({ name }) => name === service).sort((a, b) => a.instance - b.instance);
  const chosen = all[Math.floor(choice * all.length)];
  if (!chosen) throw new Error(`no ${service} is running`);
  return chosen;
}

function within(random: FuzzRandom, [least, most]: Range): number {
  return least + random.below(most - least + 1);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
