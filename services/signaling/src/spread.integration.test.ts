import { waitFor } from '@humancast/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender, type FakeSenderOptions } from '../testing/fake-sender.js';
import { type TestSignaling, TestStack } from '../testing/start-test-signaling.js';
import { TestViewer } from '../testing/test-viewer.js';

const OFFER =
  'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:abcd\r\n';
const RESTART = 'a=ice-ufrag:efgh\r\na=ice-pwd:0123456789abcdef01234567\r\n';

describe('a session whose host has one place, and another media-sender', () => {
  let stack: TestStack;
  let signaling: TestSignaling;
  const senders: FakeSender[] = [];
  const viewers: TestViewer[] = [];
  beforeAll(async () => {
    stack = await TestStack.start();
    signaling = await stack.signaling({}, { senderSweepMs: 50, waitingTickMs: 50, offerMs: 200 });
  });
  afterEach(async () => {
    for (const viewer of viewers.splice(0)) viewer.ws.close();
    await Promise.all(senders.splice(0).map((sender) => sender.stop()));
  });
  afterAll(() => stack.stop());

  async function sender(options: FakeSenderOptions): Promise<FakeSender> {
    const started = await FakeSender.start(stack.queueUrl, options);
    senders.push(started);
    return started;
  }
  const follower = () => sender({ takesSessions: false, takesViewers: true });

  async function join(session: { id: string; token: string }, rest = {}): Promise<TestViewer> {
    const viewer = await TestViewer.join(signaling, session, rest);
    viewers.push(viewer);
    return viewer;
  }

  /** A session whose second viewer is placed on the follower. */
  async function spread() {
    const host = await sender({ viewerPlaces: 1 });
    const session = await signaling.makeSession();
    const first = await join(session);
    await first.received('offer');
    const other = await follower();
    const second = await join(session);
    const { connection } = await second.received('offer');
    expect((await other.viewer(session.id, second.id)).sender).toBe(other.id);
    return { host, other, session, first, second, connection };
  }

  it("sends the answer, reports and new attempts to the viewer's own media-sender", async () => {
    const { host, other, session, second, connection } = await spread();
    second.send({ type: 'answer', connection, sdp: 'v=0 answer' });
    second.send({ type: 'report', connection, report: { skewMs: 3 } });
    await other.received('viewer.report', ({ viewer }) => viewer === second.id);
    await other.received('viewer.answer', ({ viewer }) => viewer === second.id);
    second.send({ type: 'reconnect', connection });
    const again = await second.received('offer', (offer) => offer.connection !== connection);
    await other.received('viewers.changed', ({ viewer }) => viewer === second.id);
    second.send({ type: 'answer', connection: again.connection, sdp: 'v=0' });
    await other.received('viewer.answer', (mail) => mail.connection === again.connection);
    second.send({ type: 'leave' });
    await second.closure();
    await waitFor('it to be gone', async () => (await host.registry.viewerCount(session.id)) === 1);
    expect(host.mail.filter(({ type }) => type === 'viewer.answer' || type === 'viewer.report')).toEqual([]);
  });

  it('resumes a viewer at its media-sender, also without what its process remembered', async () => {
    const { other, session, second, connection } = await spread();
    second.ws.terminate();
    const again = await join(session, { ...second.resumeFields, connection });
    expect(again.id).toBe(second.id);
    again.send({ type: 'report', connection, report: { freezes: 7 } });
    await other.received('viewer.report', ({ report }) => report.freezes === 7);
  });

  it('interrupts at the host only, and ends everywhere', async () => {
    const { host, other, session, first, second } = await spread();
    second.send({ type: 'interrupt' });
    await host.received('session.interrupt', (mail) => mail.session === session.id);
    await signaling.request('DELETE', `/v1/sessions/${session.id}`);
    for (const { closure } of [first, second].map((viewer) => ({ closure: viewer.closure() }))) await closure;
    await Promise.all([host, other].map((at) => at.received('session.end', (mail) => mail.session === session.id)));
    expect(other.mail.some(({ type }) => type === 'session.interrupt')).toBe(false);
  });

  it('places the viewers of a dead follower again', async () => {
    const { other, session, first, second, connection } = await spread();
    await other.crash();
    senders.splice(senders.indexOf(other), 1);
    const third = await follower();
    const offer = await second.received('offer', (message) => message.connection !== connection);
    second.send({ type: 'answer', connection: offer.connection, sdp: 'v=0' });
    await third.received('viewer.answer', ({ viewer }) => viewer === second.id);
    expect(await third.registry.followers(session.id)).toEqual([third.id]);
    expect(first.messages.filter(({ type }) => type === 'offer')).toHaveLength(1);
  });

  it("leaves viewers at their follower when the host dies; the host's own get another", async () => {
    const { host, other, session, first, second } = await spread();
    await host.crash();
    senders.splice(senders.indexOf(host), 1);
    const next = await sender({});
    await first.received('offer', ({ epoch }) => epoch === 2);
    expect(next.hosts(session.id)).toBe(true);
    expect((await other.viewer(session.id, second.id)).sender).toBe(other.id);
    expect(second.messages.filter(({ type }) => type === 'offer')).toHaveLength(1);
  });

  it('tells a viewer its position in the queue, which repeated requests do not lose', async () => {
    await sender({ viewerPlaces: 1 });
    const session = await signaling.makeSession();
    await (await join(session)).received('offer');
    const [second, third] = [await join(session), await join(session)];
    expect(await second.received('waiting')).toMatchObject({ position: 1 });
    expect(await third.received('waiting')).toMatchObject({ position: 2 });
    const other = await follower();
    await Promise.all([second, third].map((viewer) => viewer.received('offer')));
    // Longer than offerMs, after which a viewer without an offer is asked for again.
    expect((await other.placed(session.id)).map(({ attempt }) => attempt)).toEqual([1, 1]);
  });

  it('shows what each media-sender reports of its viewers', async () => {
    const { host, other, session, first, second } = await spread();
    const asked = signaling.request('GET', `/v1/sessions/${session.id}`);
    const nothing = { held: false, prefetchedMs: 0, underruns: 0 };
    for (const [at, viewer] of [
      [host, first.id],
      [other, second.id],
    ] as const) {
      const { request, replyTo, viewers } = await at.received('session.inspect');
      expect(viewers).toEqual([viewer]);
      const reports = [{ viewer, atMs: 1, report: { skewMs: at === host ? 1 : 2 } }];
      const inspection = { ...nothing, underruns: at === host ? 4 : 5, reports };
      await at.reply(replyTo, { type: 'session.inspected', session: session.id, request, inspection });
    }
    const { body } = await asked;
    expect(body).toMatchObject({ viewerCount: 2, underruns: 4, live: true });
    const skews = body.viewers.map(({ viewer, report }: never) => [viewer, (report as { skewMs: number }).skewMs]);
    expect(new Map(skews)).toEqual(
      new Map([
        [first.id, 1],
        [second.id, 2],
      ]),
    );
  });

  it('serves a WHEP player wherever it is placed', async () => {
    const { other, session } = await spread();
    const path = `/whep/demo?session=${session.id}`;
    const sdp = { 'content-type': 'application/sdp' };
    const { status, headers } = await signaling.request('POST', path, { body: OFFER, headers: sdp });
    expect(status).toBe(201);
    const resource = new URL(headers.get('location') ?? '', `${signaling.url}/whep/demo`).pathname;
    const [player] = (await other.placed(session.id)).filter(({ offer }) => offer !== undefined);
    const patch = await signaling.request('PATCH', resource, {
      body: RESTART,
      headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': headers.get('etag') ?? '' },
    });
    expect(patch.status).toBe(200);
    await other.received('viewer.restart', ({ viewer }) => viewer === player?.viewer);
    expect((await signaling.request('DELETE', resource)).status).toBe(200);
    await other.received('viewers.changed', ({ viewer }) => viewer === player?.viewer);
    expect((await other.placed(session.id)).filter(({ offer }) => offer !== undefined)).toEqual([]);
  });
});
