/**
 * Breaks a stack of its own, part after part, while sessions are watched and speak all the time, and writes down what
 * everyone noticed.
 *
 *     npm run build && npm run faults -- --minutes 30
 *     npm run faults -- --minutes 5 --sessions 20 --senders 3 --only killSender,restartQueueRedis
 *
 * Ends with 1 when anything was wrong: a viewer who did not come back, two hosts heard at once, a segment that was lost or
 * reported twice, a frame of speech that was skipped.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CROWD_ENV } from '@humancast/testkit';
import { withCleanup } from '../../bench/lib/cleanup.ts';
import { makeBusyClip, makePlainClip } from '../../bench/lib/clips.ts';
import { describeMachine } from '../../bench/lib/machine.ts';
import { openScene, temporaryFolder } from '../../bench/lib/scene.ts';
import { summarize } from '../load/summary.ts';
import { Crowd, eventFaults } from './crowd.ts';
import { FAULTS, type Fault } from './faults.ts';
import { referenceOf } from './reference.ts';
import { type FaultResult, resultLine, runFault } from './run.ts';

const SEGMENT_SECONDS = 6;
const HELP = `npm run faults -- [options]
  --minutes N     how long (10)
  --sessions N    (10)
  --senders N     (3)
  --only A,B      of: ${Object.keys(FAULTS).join(', ')}
  --report FILE   where the report goes (faults-report.json)
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    sessions: { type: 'string', default: '10' },
    senders: { type: 'string', default: '3' },
    only: { type: 'string' },
    report: { type: 'string', default: 'faults-report.json' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}

function chosen(): Fault[] {
  const all: Readonly<Record<string, Fault>> = FAULTS;
  const names = values.only?.split(',') ?? Object.keys(all);
  return names.map((name) => {
    const fault = all[name];
    if (!fault) throw new Error(`there is no fault "${name}"; see --help`);
    return fault;
  });
}

const wrong = await withCleanup(async (cleanup) => {
  const faults = chosen();
  const machine = describeMachine();
  const mediaDir = temporaryFolder(cleanup);
  const clip = { fps: 25, size: '320x240' };
  await makePlainClip(join(mediaDir, 'chaos/idle/idle.mov'), { ...clip, seconds: 3, colour: 'gray' });
  await makeBusyClip(join(mediaDir, 'chaos/segments/talk.mov'), { ...clip, seconds: SEGMENT_SECONDS });
  const sessions = Number(values.sessions);
  const { stack } = await openScene(cleanup, {
    ...{ senders: Number(values.senders), signalings: 2, mediaDir },
    env: { MAX_SESSIONS: String(sessions + 2), RENDITIONS: 'vp8:vp8:320x240:400k', ...CROWD_ENV },
  });
  const crowd = await Crowd.gather({
    ...{ stack, avatar: 'chaos', sessions, segmentName: 'talk', segmentMs: SEGMENT_SECONDS * 1250 },
    clip: (segment) => referenceOf(stack.redisMedia.url, segment),
  });
  cleanup.add(() => crowd.disperse());
  await crowd.untilAllPlay(30_000);
  const results: FaultResult[] = [];
  const until = performance.now() + Number(values.minutes) * 60_000;
  for (let i = 0; performance.now() < until; i++) {
    const fault = faults[i % faults.length];
    if (!fault) break;
    const result = await runFault(crowd, fault);
    results.push(result);
    console.log(`${new Date().toISOString()} ${resultLine(result)}`);
  }
  const problems = [...results.flatMap((result) => result.problems), ...(await eventProblems(crowd))];
  const report = { machine, faults: results.length, problems, viewers: summarize(crowd.viewers), results };
  writeFileSync(values.report, `${JSON.stringify(report, null, 2)}\n`);
  console.log(`${results.length} faults, ${problems.length} problems; report in ${values.report}`);
  for (const problem of problems) console.log(`  ${problem}`);
  return problems.length;
});
process.exit(wrong === 0 ? 0 : 1);

async function eventProblems(crowd: Crowd): Promise<string[]> {
  const problems = (await crowd.fallSilent(120_000)).map((id) => `${id}: not everything that was queued was said`);
  for (const { session, talker } of crowd.seats) {
    const faults = eventFaults(await crowd.eventsOf(session.id), talker.accepted);
    problems.push(...faults.map((fault) => `${session.id}: ${fault}`));
  }
  return problems;
}
