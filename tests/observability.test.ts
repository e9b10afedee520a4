import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CoturnMetrics,
  freePort,
  LivePusher,
  launchChromium,
  Producer,
  Receiver,
  ReportingViewer,
  type Stack,
  startDemoProducer,
  startStack,
  type TestChromium,
  type TestDemoProducer,
  TestPrometheus,
  ViewerPage,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { unusedMetrics } from '../scripts/lib/unused-metrics.mjs';
import { panelQueries } from './support/dashboards.js';

const MEDIA = new URL('../media/demo', import.meta.url).pathname;

/** Capacity at which one session is a low load even on a busy machine. */
const PLACES = 5;

/** Alerts on lateness, which a busy machine may raise without a provoked fault. */
const OF_A_BUSY_MACHINE = new Set(['PacketsLate', 'LipSyncOutsideR37', 'Underruns']);

/** Metrics that no panel or alert uses, with the reason for keeping them. */
const NOT_SHOWN: Readonly<Record<string, string>> = {};

/** A real Prometheus with the shipped rules on a real stack, with a real browser; only coturn's exporter is simulated. */
describe('observability', () => {
  let stack: Stack;
  let demoProducer: TestDemoProducer;
  let coturn: CoturnMetrics;
  let browser: TestChromium;
  let producer: Producer;
  let prometheus: TestPrometheus;
  let session: { id: string; token: string };

  beforeAll(async () => {
    const sayPort = await freePort();
    stack = await startStack({ env: { MAX_SESSIONS: String(PLACES), SAY_URL: `http://127.0.0.1:${sayPort}` } });
    [demoProducer, coturn] = await Promise.all([startDemoProducer(stack, sayPort), CoturnMetrics.start()]);
    prometheus = await TestPrometheus.start([...stack.processes, demoProducer, coturn]);
    producer = new Producer(stack);
    cpSync(join(MEDIA, 'idle'), join(stack.mediaDir, 'demo/idle'), { recursive: true });
    cpSync(join(MEDIA, 'segments/interrupt.mp4'), join(stack.mediaDir, 'demo/segments/interrupt.mp4'));
    await producer.idleLoaded('demo', 3, 60_000);
    const speech = await producer.upload('demo', 'welcome.mp4', readFileSync(join(MEDIA, 'segments/welcome.mp4')));
    session = await producer.createSession('demo');
    browser = await launchChromium();
    const page = producer.signaling(`/?session=${session.id}&token=${session.token}`);
    await (await ViewerPage.open(await browser.context.newPage(), page)).playing();
    await producer.speak(session.id, [speech.id]);
    await waitFor(
      'it speaks',
      () => producer.session(session.id),
      ({ playhead }) => playhead?.role === 'speech',
    );
    await producer.interrupt(session.id);
    await producer.request('GET', producer.signaling('/v1/sessions/ses_thereIsNone'));
    await producer.json('POST', producer.signaling(`/v1/sessions/${session.id}/say`), { text: 'Hello there.' });
    coturn.allocations = 1;
  });

  afterAll(async () => {
    await browser?.close();
    await prometheus?.stop();
    await demoProducer?.stop();
    await coturn?.stop();
    await stack?.stop();
  });

  it('every metric is used by a panel or an alert', async () => {
    const exported = new Set<string>();
    for (const { metricsUrl } of [...stack.processes, demoProducer]) {
      const page = await (await fetch(`${metricsUrl}/metrics`)).text();
      for (const [, name] of page.matchAll(/^# TYPE (humancast_\w+) /gm)) exported.add(name ?? '');
    }
    expect(exported.size).toBeGreaterThan(60);
    expect(unusedMetrics(exported)).toEqual(Object.keys(NOT_SHOWN).sort());
  });

  it('every rule evaluates', async () => {
    expect(await prometheus.brokenRules()).toEqual([]);
  });

  it("skew metrics exist for sent media and for the viewer's playback", async () => {
    const skew =
      'sum(rate(humancast_sender_skew_seconds_bucket{le="0.03"}[1m])) / sum(rate(humancast_sender_skew_seconds_count[1m]))';
    // A rate needs two scrapes, and is NaN before.
    const share = async () => (await prometheus.query(skew))[0]?.value;
    await expect.poll(share, { timeout: 20_000 }).toBeGreaterThan(0.5);
    expect((await prometheus.query('sum(humancast_sender_sessions)'))[0]?.value).toBe(1);
    expect((await prometheus.query('sum(humancast_sender_viewers)'))[0]?.value).toBe(1);
    const taken = 'sum(humancast_sender_interrupt_seconds_count) by (track)';
    const counts = await waitFor(
      'both tracks of the interruption',
      async () => (await prometheus.query(taken)).map(({ value }) => value),
      (values) => values.every((value) => value > 0),
    );
    expect(counts).toEqual([1, 1]);
  });

  describe('a provoked fault raises its alert, and no other:', () => {
    const raised = async () => new Set((await prometheus.alerts()).map(({ name }) => name));
    let before: ReadonlySet<string>;
    beforeEach(async () => {
      before = await raised();
    });

    async function expectRaised(alert: string): Promise<void> {
      expect(before).not.toContain(alert);
      const names = await waitFor(`the alert ${alert}`, raised, (found) => found.has(alert), 40_000);
      const others = [...names].filter((name) => !before.has(name) && !OF_A_BUSY_MACHINE.has(name));
      expect(others).toEqual(OF_A_BUSY_MACHINE.has(alert) ? [] : [alert]);
    }

    it('an unreadable media file, and a live push with invalid data', async () => {
      await producer.upload('demo', 'notes.mp4', Buffer.from('not a media file')).catch(() => {});
      const pusher = await LivePusher.connect(stack, { avatar: 'demo' });
      const size = { width: 64, height: 64, fps: 25 };
      await pusher.start({ ...size, type: 'start', pixelFormat: 'bgr24', sampleRate: 24_000, sampleFormat: 's16' });
      pusher.pushVideo(Buffer.alloc(7));
      await pusher.closed();
      await expectRaised('LoadsFailing');
      const codes = await waitFor(
        'both codes',
        async () =>
          (await prometheus.alerts()).flatMap(({ name, labels }) => (name === 'LoadsFailing' ? labels['code'] : [])),
        (found) => found.length === 2,
      );
      expect(codes.sort()).toEqual(['live_frame_size', 'media_unreadable']);
      const shown = panelQueries().find(({ expr }) => expr.includes('humancast_loader_failures_total'));
      expect((await prometheus.query(shown?.expr ?? ''))[0]?.labels).toEqual({ code: 'media_unreadable' });
    });

    it('a viewer on a bad network: late video, loss, freezes', async () => {
      const viewer = await ReportingViewer.join(stack.signalingUrl, session.id, session.token);
      const bad = { skewMs: 80, packetsReceived: 200, packetsLost: 40, freezes: 1, freezeMs: 300, roundTripMs: 400 };
      const reports = setInterval(() => viewer.report(bad), 50);
      try {
        await expectRaised('LipSyncOutsideR37');
        // The dashboard's query.
        for (const [title, more] of [
          ['network: Loss', 0.05],
          ['network: Round trip', 0.3],
          ['network: Frozen', 0.05],
          ['sync: Worst, as played', 0.06],
        ] as const) {
          const { expr = '' } = panelQueries().find(({ name }) => name === title) ?? {};
          await waitFor(
            title,
            () => prometheus.query(expr),
            (samples) => (samples[0]?.value ?? 0) > more,
          );
        }
      } finally {
        clearInterval(reports);
        viewer.close();
      }
    });

    it('a full fleet, then a session that nobody can host', async () => {
      const { signalingUrl } = stack;
      const others = await Promise.all(
        Array.from({ length: PLACES - 1 }, async () => {
          const { id, token } = await producer.createSession('demo');
          await Receiver.connect({ signalingUrl, session: id, token, listener: {}, decrypt: false });
          return id;
        }),
      );
      await expectRaised('NoFreeCapacity');
      before = await raised();
      const waiting = await producer.createSession('demo');
      const joined = ReportingViewer.join(signalingUrl, waiting.id, waiting.token);
      await expectRaised('SessionsWithoutHost');
      for (const id of others) await producer.endSession(id);
      // Capacity is free again, so it is hosted.
      (await joined).close();
      await producer.endSession(waiting.id);
    });

    it('a relay near its quota', async () => {
      coturn.allocations = 10_000;
      await expectRaised('TurnNearQuota');
      coturn.allocations = 1;
      await waitFor('it is over', raised, (names) => !names.has('TurnNearQuota'));
    });

    it('a media-sender that is paused repeatedly', async () => {
      const sender = stack.processes.find(({ name }) => name === 'media-sender');
      // Shorter than the lease: nobody takes over.
      const stops = setInterval(() => {
        sender?.signal('SIGSTOP');
        setTimeout(() => sender?.signal('SIGCONT'), 150);
      }, 500);
      before = new Set([...before].filter((name) => name !== 'PacketsLate'));
      await expectRaised('PacketsLate').finally(() => clearInterval(stops));
    });

    it('after the faults, every query of every panel has a result', async () => {
      // Rates need recent events.
      await producer.json('POST', producer.signaling(`/v1/sessions/${session.id}/say`), {
        text: 'Nobody has to listen to all of it, because it is interrupted before it ends.',
      });
      const lagged = 'sum(increase(humancast_loader_live_lag_seconds_count[15s]))';
      await waitFor(
        'a live push',
        () => prometheus.query(lagged),
        (samples) => (samples[0]?.value ?? 0) > 0,
      );
      await waitFor(
        'it speaks',
        () => producer.session(session.id),
        ({ playhead }) => playhead?.role === 'speech',
      );
      await producer.interrupt(session.id);
      const silent: string[] = [];
      for (const { name, expr } of panelQueries()) {
        await waitFor(
          `an answer to "${name}": ${expr}`,
          () => prometheus.query(expr),
          (samples) => samples.some(({ value }) => !Number.isNaN(value)),
          10_000,
        ).catch((error: Error) => silent.push(error.message));
      }
      expect(silent).toEqual([]);
      expect(await prometheus.brokenRules()).toEqual([]);
    });

    it('a database that is down', async () => {
      await stack.redisMedia.kill();
      await expectRaised('RedisDown').finally(() => stack.redisMedia.restart());
      expect((await prometheus.alerts()).find(({ name }) => name === 'RedisDown')?.labels).toMatchObject({
        redis: 'media',
      });
    });

    it('a service that is down', async () => {
      // Not a media-sender, because that would also remove capacity.
      stack.processes.find(({ name }) => name === 'segment-loader')?.signal('SIGKILL');
      await expectRaised('ServiceDown');
      const alert = (await prometheus.alerts()).find(({ name }) => name === 'ServiceDown');
      expect(alert?.labels).toMatchObject({ job: 'segment-loader' });
    });
  });
});
