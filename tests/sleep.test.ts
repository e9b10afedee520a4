import { PAGE_STATE, type ViewerPage, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { figures, inSync } from './support/figures.ts';
import { Scene } from './support/scene.ts';

/** The real page on a machine that sleeps: all processes of its browser are stopped and continued. */
describe('page on a machine that slept', () => {
  let scene: Scene;
  beforeAll(async () => {
    const env = { VIEWER_SILENCE_MS: '2000', SIGNAL_HEARTBEAT_MS: '1000', VIEWER_GRACE_MS: '8000' };
    scene = await Scene.start({ env });
  });
  afterAll(() => scene?.stop());

  it('plays on as the same viewer, over a second connection, after its first one has ended', async ({ annotate }) => {
    const { viewer, id, viewers } = await watch();
    await scene.asleep(async () => {
      await waitFor('the end of its connection', () => isDisconnected(id));
    });
    const wokenMs = performance.now();
    await waitFor(
      'frames over another connection',
      () => figures(viewer),
      (now) => now.connections > 1 && now.framesDecoded > 0,
    );
    await annotate(`frames again ${Math.round(performance.now() - wokenMs)} ms after the sleep`);
    await playsInSync(viewer);
    expect((await figures(viewer)).connections).toBe(2);
    expect(await viewersOf(id)).toEqual(viewers);
    await viewer.page.close();
  });

  it('plays on as a new viewer, the only one, after a sleep that is longer than a viewer is kept', async () => {
    const { viewer, id, viewers } = await watch();
    await scene.asleep(async () => {
      await waitFor('the removal of the viewer', async () => (await viewersOf(id)).length === 0, undefined, 60_000);
    });
    await playsInSync(viewer);
    const now = await viewersOf(id);
    expect(now).toHaveLength(1);
    expect(now).not.toEqual(viewers);
    await viewer.page.close();
  });

  async function watch() {
    const session = await scene.producer.createSession('lights');
    const viewer = await scene.watch(session);
    await playsInSync(viewer);
    return { viewer, id: session.id, viewers: await viewersOf(session.id) };
  }

  /** @returns The ids of the session's viewers. */
  async function viewersOf(id: string): Promise<string[]> {
    const { viewers } = await scene.producer.session(id);
    return viewers.map(({ viewer }) => viewer);
  }

  async function isDisconnected(id: string): Promise<boolean> {
    const types = (await scene.producer.pastEvents(id)).map(({ type }) => type);
    return types.lastIndexOf('viewer.disconnected') > types.lastIndexOf('viewer.connected');
  }
});

/** Waits until the page says that it plays, with moving video, in sync. */
async function playsInSync(viewer: ViewerPage): Promise<void> {
  const first = await figures(viewer);
  await waitFor(
    'video to move in sync',
    async () => ({ ...(await figures(viewer)), state: await viewer.page.evaluate<string>(PAGE_STATE) }),
    (now) =>
      (now.connections > first.connections || now.framesDecoded > first.framesDecoded + 30) &&
      now.framesDecoded > 30 &&
      now.state === 'playing' &&
      inSync(now),
  );
}
