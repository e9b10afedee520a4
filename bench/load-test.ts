/**
 * Adds viewers to a running stack and checks what each receives: missing, repeated and reordered packets, timestamps, sender
 * reports on one line, and the longest time without a new frame.
 *
 *     npm run load -- --viewers 40
 *     npm run load -- --viewers 100 --per-session 10 --seconds 60 --url http://host:8080 --avatar demo
 *
 * Against `npm start` the API key is found automatically; elsewhere set HUMANCAST_API_KEY. A signaling process accepts
 * CONNECTS_PER_MINUTE (600) new connections a minute and TURN_USERS_PER_HOUR (600) viewers an hour from one address: raise
 * both for more.
 */

import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type NewSession } from '@humancast/protocol';
import { LightViewer, Producer, withCleanup } from '@humancast/testkit';
import { type Summary, summarize } from './lib/viewer-summary.ts';

const KEY_FILE = fileURLToPath(new URL('../.humancast/api-key', import.meta.url));
const HELP = `npm run load -- [options]
  --viewers N       how many (10)
  --per-session N   viewers of one session (1)
  --seconds N       how long, once all have joined (30)
  --ramp N          seconds over which they join (viewers / 8)
  --url URL         a signaling process, several separated by commas (http://127.0.0.1:8080)
  --avatar ID       (demo)
`;

interface Options {
  readonly viewers: number;
  readonly perSession: number;
  readonly seconds: number;
  readonly rampSeconds: number;
  readonly urls: readonly string[];
  readonly avatar: string;
  readonly apiKey: string;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      viewers: { type: 'string', default: '10' },
      'per-session': { type: 'string', default: '1' },
      seconds: { type: 'string', default: '30' },
      ramp: { type: 'string' },
      url: { type: 'string', default: 'http://127.0.0.1:8080' },
      avatar: { type: 'string', default: 'demo' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    process.exit(0);
  }
  const viewers = positive('--viewers', values.viewers);
  const apiKey =
    process.env['HUMANCAST_API_KEY'] ?? (existsSync(KEY_FILE) ? readFileSync(KEY_FILE, 'utf8').trim() : '');
  if (apiKey === '') throw new Error('no API key: set HUMANCAST_API_KEY, or run npm start in this folder');
  return {
    viewers,
    perSession: positive('--per-session', values['per-session']),
    seconds: positive('--seconds', values.seconds),
    rampSeconds: values.ramp === undefined ? viewers / 8 : positive('--ramp', values.ramp),
    urls: values.url.split(','),
    avatar: values.avatar,
    apiKey,
  };
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${name} must be a positive number`);
  return value;
}

/** Opens viewers one after the other, and closes all of them at the end. */
async function run(options: Options): Promise<Summary> {
  return withCleanup(async (cleanup) => {
    const { viewers: count, perSession, rampSeconds, urls, avatar, apiKey, seconds } = options;
    const producer = new Producer({ signalingUrl: urls[0] ?? '', apiKey });
    const viewers: LightViewer[] = [];
    const sessions: NewSession[] = [];
    cleanup.add(async () => {
      for (const viewer of viewers) viewer.close();
      await Promise.all(sessions.map(({ id }) => producer.endSession(id)));
    });
    const startedMs = performance.now();
    const live = setInterval(() => showLive(viewers, startedMs), 1000);
    cleanup.add(() => clearInterval(live));
    for (let i = 0; i < count; i++) {
      if (i % perSession === 0) sessions.push(await producer.createSession(avatar));
      const session = sessions.at(-1);
      if (!session) throw new Error('no session was created');
      viewers.push(new LightViewer({ signalingUrls: urls, session: session.id, token: session.token }));
      await sleep(Math.max(0, startedMs + ((i + 1) / count) * rampSeconds * 1000 - performance.now()));
    }
    await sleep(seconds * 1000);
    return summarize(viewers);
  });
}

function showLive(viewers: readonly LightViewer[], startedMs: number): void {
  const { playing, packets, lost, silentMs, reconnects, waiting } = summarize(viewers);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
  console.error(
    `${seconds} s: ${playing} of ${viewers.length} play, ${waiting} wait; ${packets} packets, ${lost} lost, ` +
      `${silentMs} ms silent, ${reconnects} reconnects`,
  );
}

try {
  const summary = await run(readOptions());
  console.log(JSON.stringify(summary, null, 2));
  process.exit(summary.playing === summary.viewers && summary.badTimestamps === 0 ? 0 : 1);
} catch (error) {
  console.error((error as Error).message);
  process.exit(2);
}
