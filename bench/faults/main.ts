/**
 * Runs a stack with watched, speaking, interrupted and ending sessions, causes faults that a seed chooses, records a
 * history, and checks it against the guarantees of docs/operations.md.
 *
 *     npm run build && npm run faults -- --minutes 60
 *     npm run faults -- --minutes 5 --seed 7 --only pauseSender,cutSenderQueue
 *     npm run faults -- --check faults-history.jsonl
 *
 * Exits with 1 if a guarantee is violated.
 */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { withCleanup } from '@humancast/testkit';
import { describeMachine } from '../lib/machine.ts';
import { type CheckResult, checkHistory } from './check/check.ts';
import { FULL_PACE, HARD_FAULTS } from './hard-faults.ts';
import { runStep, stepLine, watchStalls } from './hard-run.ts';
import { FPS, openHardScene } from './hard-scene.ts';
import { HistoryFile, readHistory } from './history.ts';
import { type FaultName, plan } from './plan.ts';

const NAMES = Object.keys(HARD_FAULTS) as FaultName[];
/** Maximum time beyond `--minutes`, for the last step, the queued speech and clean-up. */
const OVERTIME_MS = 5 * 60_000;
const SHOWN_VIOLATIONS = 50;
const HELP = `npm run faults -- [options]
  --minutes N     duration (10)
  --seed N        seed of the faults; printed; random by default
  --sessions N    sessions at once (6)
  --senders N     media-senders (3)
  --spread        a media-sender serves one viewer of a session that it hosts, others follow
  --only A,B      faults to use: ${NAMES.join(', ')}
  --history FILE  history file, JSON lines (faults-history.jsonl)
  --report FILE   report file (faults-report.json)
  --check FILE    check this history and exit
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string' },
    sessions: { type: 'string', default: '6' },
    senders: { type: 'string', default: '3' },
    spread: { type: 'boolean', default: false },
    only: { type: 'string' },
    history: { type: 'string', default: 'faults-history.jsonl' },
    report: { type: 'string', default: 'faults-report.json' },
    check: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) process.stdout.write(HELP);
else if (values.check !== undefined) report(checkHistory(readHistory(values.check)));
else await run();

async function run(): Promise<void> {
  const minutes = positive('--minutes', values.minutes);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : positive('--seed', values.seed);
  const names = chosen();
  console.log(`seed ${seed}; history in ${values.history}`);
  const history = new HistoryFile(values.history);
  const machine = describeMachine();
  let watchdog: NodeJS.Timeout | undefined;
  await withCleanup(async (cleanup) => {
    const { spread } = values;
    history.add({ type: 'run', seed, startedAt: new Date().toISOString(), fps: FPS, plan: names.join(','), spread });
    const scene = await openHardScene(cleanup, {
      seed,
      history,
      spread,
      segments: 24,
      sessions: positive('--sessions', values.sessions),
      senders: positive('--senders', values.senders),
    });
    cleanup.add(watchStalls(scene, history));
    await runStep(scene, { faults: [] }, history);
    watchdog = setTimeout(
      () => {
        console.error('the run did not end in time; stopping it');
        process.kill(process.pid, 'SIGTERM');
      },
      minutes * 60_000 + OVERTIME_MS,
    ).unref();
    const untilMs = performance.now() + minutes * 60_000;
    for (const step of plan(seed, names, FULL_PACE)) {
      if (performance.now() >= untilMs) break;
      console.log(`${new Date().toISOString()} ${stepLine(await runStep(scene, step, history))}`);
    }
    await scene.stop();
  });
  clearTimeout(watchdog);
  await history.close();
  const result = checkHistory(readHistory(values.history));
  writeFileSync(values.report, `${JSON.stringify({ machine, seed, minutes, ...result }, null, 2)}\n`);
  report(result);
  console.log(`seed ${seed}; report in ${values.report}`);
}

function report({ violations, counted }: CheckResult): void {
  console.log(JSON.stringify(counted, null, 2));
  for (const { rule, session, detail, atMs } of violations.slice(0, SHOWN_VIOLATIONS)) {
    const when = atMs === undefined ? '' : ` at ${(atMs / 1000).toFixed(1)} s`;
    console.log(`  ${rule}${when}${session === undefined ? '' : ` ${session}`}: ${detail}`);
  }
  const byRule = Object.entries(Object.groupBy(violations, ({ rule }) => rule));
  const summary = byRule.map(([rule, list]) => `${rule} ${list?.length}`).join(', ');
  console.log(`${violations.length} violations${summary === '' ? '' : `: ${summary}`}`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}

function chosen(): FaultName[] {
  return (values.only?.split(',') ?? NAMES).map((name) => {
    const found = NAMES.find((known) => known === name);
    if (!found) throw new Error(`unknown fault "${name}"; see --help`);
    return found;
  });
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`${name} must be a positive number`);
  return value;
}
