import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchChromium, Receiver, type Stack, startStack, type TestChromium } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, Producer } from './support/api.js';
import { panelQueries } from './support/dashboards.js';
import { TestPrometheus } from './support/prometheus.js';
import { ReportingViewer } from './support/reporting-viewer.js';
import { ViewerPage } from './support/viewer-page.js';

const MEDIA = new URL('../media/demo', import.meta.url).pathname;
const RULES = new URL('../infra/prometheus/rules', import.meta.url).pathname;

/** Queries that are right to have no answer here, and why. */
const NO_ANSWER: readonly { part: string; because: string }[] = [
  { part: 'turn_total', because: 'coturn as Debian builds it has no metrics; in the containers it has' },
  { part: 'ALERTS{', because: 'nothing has fired yet' },
  { part: 'humancast_loader_failures_total', because: 'nothing has failed yet' },
  { part: 'humancast_loader_live_lag_seconds', because: 'there is no live push' },
  { part: 'humancast_loader_live_failures_total', because: 'no live push has failed' },
];

/** Metrics that no panel and no alert needs, and why they are there all the same. */
const NOT_SHOWN: Readonly<Record<string, string>> = {};

/** A real Prometheus with the shipped rules on a real stack that plays the demo to a real browser. */
describe('what operators see', () => {
  let stack: Stack;
  let browser: TestChromium;
  let producer: Producer;
  let prometheus: TestPrometheus;
  let session: { id: string; token: string };

  beforeAll(async () => {
    stack = await startStack({ env: { MAX_SESSIONS: '2' } });
    prometheus = await TestPrometheus.start(stack.processes);
    producer = new Producer(stack);
    cpSync(join(MEDIA, 'idle'), join(stack.mediaDir, 'demo/idle'), { recursive: true });
    cpSync(join(MEDIA, 'segments/interrupt.mp4'), join(stack.mediaDir, 'demo/segments/interrupt.mp4'));
    await eventually(
      'the idle clips are loaded',
      () => producer.idleCount('demo'),
      (count) => count === 3,
      60_000,
    );
    const speech = await producer.upload('demo', 'welcome.mp4', readFileSync(join(MEDIA, 'segments/welcome.mp4')));
    session = await producer.createSession('demo');
    browser = await launchChromium();
    const page = producer.signaling(`/?session=${session.id}&token=${session.token}`);
    await (await ViewerPage.open(await browser.context.newPage(), page)).playing();
    await producer.speak(session.id, [speech.id]);
    await eventually(
      'it speaks',
      () => producer.session(session.id),
      ({ playhead }) => playhead?.role === 'speech',
    );
    await producer.interrupt(session.id);
    await producer.request('GET', producer.signaling('/v1/sessions/ses_thereIsNone'));
  });

  afterAll(async () => {
    await browser?.close();
    await prometheus?.stop();
    await stack?.stop();
  });

  it('answers every query of every panel, but for a stated few', async () => {
    const silent: string[] = [];
    for (const { name, expr } of panelQueries()) {
      const excused = NO_ANSWER.some(({ part }) => expr.includes(part));
      if (excused) await prometheus.query(expr);
      else {
        await eventually(
          `an answer to "${name}": ${expr}`,
          () => prometheus.query(expr),
          (samples) => samples.some(({ value }) => !Number.isNaN(value)),
          30_000,
        ).catch((error: Error) => silent.push(error.message));
      }
    }
    expect(silent).toEqual([]);
  });

  it('says nothing that nobody looks at', async () => {
    const used = [...panelQueries().map(({ expr }) => expr), ...rulesText()].join('\n');
    const exported = new Set<string>();
    for (const { metricsUrl } of stack.processes) {
      const page = await (await fetch(`${metricsUrl}/metrics`)).text();
      for (const [, name] of page.matchAll(/^# TYPE (humancast_\w+) /gm)) exported.add(name ?? '');
    }
    expect(exported.size).toBeGreaterThan(60);
    const unused = [...exported].filter((name) => !new RegExp(`\\b${name}(_bucket|_sum|_count)?\\b`).test(used));
    expect(unused.sort()).toEqual(Object.keys(NOT_SHOWN).sort());
  });

  it('evaluates every rule', async () => {
    expect(await prometheus.brokenRules()).toEqual([]);
  });

  it('measures what the viewer sees: the picture sent with its sound, and played with it', async () => {
    const skew =
      'sum(rate(humancast_sender_skew_seconds_bucket{le="0.03"}[1m])) / sum(rate(humancast_sender_skew_seconds_count[1m]))';
    expect((await prometheus.query(skew))[0]?.value).toBeGreaterThan(0.5);
    expect((await prometheus.query('sum(humancast_sender_sessions)'))[0]?.value).toBe(1);
    expect((await prometheus.query('sum(humancast_sender_viewers)'))[0]?.value).toBe(1);
    const taken = 'sum(humancast_sender_interrupt_seconds_count) by (track)';
    expect((await prometheus.query(taken)).map(({ value }) => value)).toEqual([1, 1]);
  });

  describe('provoked trouble raises its alert, and not those that it has nothing to do with', () => {
    const raised = async () => new Set((await prometheus.alerts()).map(({ name }) => name));
    const isRaised = (alert: string) => eventually(`the alert ${alert}`, raised, (names) => names.has(alert));

    it('a file that is no media file', async () => {
      expect(await raised()).not.toContain('LoadsFailing');
      await producer.upload('demo', 'notes.mp4', Buffer.from('not a media file')).catch(() => {});
      const names = await isRaised('LoadsFailing');
      expect(names).not.toContain('NoFreeCapacity');
      expect(names).not.toContain('LipSyncOutsideR37');
      const alert = (await prometheus.alerts()).find(({ name }) => name === 'LoadsFailing');
      expect(alert).toMatchObject({ state: 'firing', labels: { code: 'media_unreadable' } });
      const shown = panelQueries().find(({ expr }) => expr.includes('humancast_loader_failures_total'));
      expect((await prometheus.query(shown?.expr ?? ''))[0]?.labels).toEqual({ code: 'media_unreadable' });
    });

    it('a viewer that plays the picture 80 ms late', async () => {
      const viewer = await ReportingViewer.join(stack.signalingUrl, session.id, session.token);
      const reports = setInterval(() => viewer.report({ skewMs: 80 }), 50);
      const names = await isRaised('LipSyncOutsideR37').finally(() => clearInterval(reports));
      expect(names).not.toContain('SessionsWithoutHost');
      viewer.close();
    });

    it('a fleet that is full', async () => {
      expect(await raised()).not.toContain('NoFreeCapacity');
      const { signalingUrl } = stack;
      const { id, token } = await producer.createSession('demo');
      const receiver = await Receiver.connect({ signalingUrl, session: id, token, listener: {}, decrypt: false });
      const names = await isRaised('NoFreeCapacity');
      expect(names).not.toContain('SessionsWithoutHost');
      receiver.close();
    });

    it('a media-sender that is stopped again and again', async () => {
      const sender = stack.processes.find(({ name }) => name === 'media-sender');
      // Less than its lease: nobody takes over, it is only late.
      const stops = setInterval(() => {
        sender?.signal('SIGSTOP');
        setTimeout(() => sender?.signal('SIGCONT'), 150);
      }, 500);
      await isRaised('PacketsLate').finally(() => clearInterval(stops));
    });

    it('a service that is gone', async () => {
      const sender = stack.processes.find(({ name }) => name === 'media-sender');
      sender?.signal('SIGKILL');
      await isRaised('ServiceDown');
      const alert = (await prometheus.alerts()).find(({ name }) => name === 'ServiceDown');
      expect(alert?.labels).toMatchObject({ job: 'media-sender' });
    });
  });
});

function rulesText(): string[] {
  return ['alerts.yml', 'recording.yml'].map((name) => readFileSync(join(RULES, name), 'utf8'));
}
