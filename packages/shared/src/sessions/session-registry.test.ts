import { startRedis, type TestRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { newId } from '../ids.js';
import { SessionRegistry } from './session-registry.js';

describe('SessionRegistry', () => {
  let server: TestRedis;
  let redis: Redis;
  let registry: SessionRegistry;
  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
    registry = new SessionRegistry(redis);
  });
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
  });

  async function hosted(): Promise<{ id: string; host: string; epoch: number }> {
    const id = newId('ses');
    const host = newId('snd');
    await registry.create(id, 'demo');
    const epoch = await registry.requestHost(id);
    if (epoch === undefined) throw new Error('no host was asked for');
    expect(await registry.claim(id, epoch, host)).toBe(true);
    return { id, host, epoch };
  }

  it('asks for a host once, and lets one sender claim it', async () => {
    const id = newId('ses');
    await registry.create(id, 'demo');
    expect(await registry.requestHost(id)).toBe(1);
    expect(await registry.requestHost(id)).toBeUndefined();
    expect(await registry.claim(id, 1, newId('snd'))).toBe(true);
    expect(await registry.claim(id, 1, newId('snd'))).toBe(false);
  });

  it('lets a host claim twice: the answer to the first may have been lost', async () => {
    const { id, host, epoch } = await hosted();
    expect(await registry.claim(id, epoch, host)).toBe(true);
    expect((await registry.events(id, '0')).map((event) => event.type)).toEqual(['session.hosted']);
  });

  it('lets a host that was silent go on, and takes nothing from it that was found dead before', async () => {
    const { id, host, epoch } = await hosted();
    const seen = await registry.get(id);
    expect(await registry.resume(id, epoch, host)).toBe(true);
    expect(await registry.release(id, host, seen.epoch, seen.resumptions)).toBeUndefined();
    expect(await registry.get(id)).toMatchObject({ state: 'hosted', host, epoch, resumptions: 1 });
    expect(await registry.release(id, host, epoch, 1)).toBe(epoch + 1);
    expect(await registry.resume(id, epoch, host)).toBe(false);
  });

  it('asks anew for a host when whoever took the job never claimed it', async () => {
    const id = newId('ses');
    await registry.create(id, 'demo');
    expect(await registry.requestHost(id)).toBe(1);
    expect(await registry.supersede(id, 1)).toBe(2);
    expect(await registry.claim(id, 1, newId('snd'))).toBe(false);
    expect(await registry.claim(id, 2, newId('snd'))).toBe(true);
    expect(await registry.supersede(id, 2)).toBeUndefined();
  });

  it('reports a queued segment as finished exactly once, whoever says so again', async () => {
    const { id, epoch } = await hosted();
    const { queued } = await registry.speak(id, [newId('seg')]);
    const item = queued[0];
    if (!item) throw new Error('nothing was queued');
    const body = { type: 'speech.finished', ...item, positionMs: 10, interrupted: false, reason: 'finished' } as const;
    expect(await registry.speechFinished(id, epoch, body)).toBe(true);
    expect(await registry.speechFinished(id, epoch, body)).toBe(true);
    const events = await registry.events(id, '0');
    expect(events.filter((event) => event.type === 'speech.finished')).toHaveLength(1);
    expect(await registry.queue(id)).toEqual([]);
  });

  it('refuses what a host says after its epoch is over', async () => {
    const { id, host, epoch } = await hosted();
    expect(await registry.release(id, host)).toBe(epoch + 1);
    expect(await registry.emit(id, epoch, { type: 'viewer.connected', viewer: newId('vw') })).toBe(false);
    expect(await registry.claim(id, epoch + 1, newId('snd'))).toBe(true);
    expect((await registry.events(id, '0')).map((event) => event.type)).toEqual(['session.hosted', 'session.moved']);
  });

  it('interrupts everything queued before, and nothing queued after', async () => {
    const { id } = await hosted();
    await registry.speak(id, [newId('seg'), newId('seg')]);
    const after = await registry.speak(id, [newId('seg')], { interrupt: true });
    expect(after.interruptedSeq).toBe(2);
    expect(after.queued[0]?.seq).toBe(3);
  });

  it('drops what is still queued when the session ends, and then refuses more', async () => {
    const { id } = await hosted();
    await registry.speak(id, [newId('seg'), newId('seg')]);
    expect(await registry.end(id, 'deleted')).toMatchObject({ ended: true });
    const types = (await registry.events(id, '0')).map((event) => event.type);
    expect(types).toEqual(['session.hosted', 'speech.finished', 'speech.finished', 'session.ended']);
    await expect(registry.speak(id, [newId('seg')])).rejects.toMatchObject({ code: 'session_ended' });
    expect(await registry.end(id, 'deleted')).toMatchObject({ ended: false });
  });

  it('says how far the segment had got that was playing when the session ended', async () => {
    const { id, epoch } = await hosted();
    const { queued } = await registry.speak(id, [newId('seg'), newId('seg')]);
    const item = queued[0];
    if (!item) throw new Error('nothing was queued');
    await registry.speechStarted(id, epoch, item);
    const playhead = {
      segment: item.segment,
      role: 'speech',
      seq: 1,
      positionSamples: 72_000,
      atMs: Date.now(),
    } as const;
    await registry.savePlayhead(id, epoch, playhead);
    await registry.end(id, 'deleted');
    const finished = (await registry.events(id, '0')).filter((event) => event.type === 'speech.finished');
    expect(finished.map((event) => [event.reason, event.positionMs])).toEqual([
      ['interrupted', 1500],
      ['dropped', 0],
    ]);
  });

  it('keeps a viewer who moved to another connection when the old one closes', async () => {
    const { id } = await hosted();
    const viewer = newId('vw');
    expect(await registry.putViewer(id, viewer, 'sig_a', { limit: 2 })).toMatchObject({ attempt: 1 });
    expect(await registry.moveViewer(id, viewer, 'sig_b')).toMatchObject({ found: true });
    expect(await registry.removeViewer(id, viewer, 'sig_a')).toMatchObject({ removed: false });
    expect(await registry.viewers(id)).toHaveLength(1);
  });
});
