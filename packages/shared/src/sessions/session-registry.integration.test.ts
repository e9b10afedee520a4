import type { SessionEvent, SessionEventBody } from '@humancast/protocol';
import { startRedis, type TestRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { keys } from '../keys.js';
import { newId } from '../new-id.js';
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

  it('requests a host once, and lets one sender claim it', async () => {
    const id = newId('ses');
    await registry.create(id, 'demo');
    expect(await registry.requestHost(id)).toBe(1);
    expect(await registry.requestHost(id)).toBeUndefined();
    expect(await registry.claim(id, 1, newId('snd'))).toBe(true);
    expect(await registry.claim(id, 1, newId('snd'))).toBe(false);
  });

  it('lets the same host claim again, in case the first answer was lost', async () => {
    const { id, host, epoch } = await hosted();
    expect(await registry.claim(id, epoch, host)).toBe(true);
    expect((await registry.events(id, '0')).map((event) => event.type)).toEqual(['session.hosted']);
  });

  it('lets a host resume after missed heartbeats, and rejects a release by an earlier finding', async () => {
    const { id, host, epoch } = await hosted();
    const seen = await registry.get(id);
    expect(await registry.resume(id, epoch, host)).toBe(true);
    expect(await registry.release(id, host, seen.epoch, seen.resumptions)).toBeUndefined();
    expect(await registry.get(id)).toMatchObject({ state: 'hosted', host, epoch, resumptions: 1 });
    expect(await registry.release(id, host, epoch, 1)).toBe(epoch + 1);
    expect(await registry.resume(id, epoch, host)).toBe(false);
  });

  it('requests a host again if a taken job was never claimed', async () => {
    const id = newId('ses');
    await registry.create(id, 'demo');
    expect(await registry.requestHost(id)).toBe(1);
    expect(await registry.supersede(id, 1)).toBe(2);
    expect(await registry.claim(id, 1, newId('snd'))).toBe(false);
    expect(await registry.claim(id, 2, newId('snd'))).toBe(true);
    expect(await registry.supersede(id, 2)).toBeUndefined();
  });

  it('reports a queued segment as finished exactly once, even if repeated', async () => {
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

  it('rejects writes of a host whose epoch is over', async () => {
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

  /** @returns `[seq, reason, positionMs]` of each finished segment. */
  async function finishedIn(id: string) {
    const events = await registry.events(id, '0', 5000);
    return events.flatMap((event) =>
      event.type === 'speech.finished' ? [[event.seq, event.reason, event.positionMs] as const] : [],
    );
  }

  describe('an interruption', () => {
    const segments = (count: number) => Array.from({ length: count }, () => newId('seg'));

    it('reports all queued segments as dropped at once if the session has no host', async () => {
      const id = newId('ses');
      await registry.create(id, 'demo');
      await registry.speak(id, segments(3));
      const { interruptedSeq } = await registry.interrupt(id);
      expect(interruptedSeq).toBe(3);
      expect(await registry.queue(id)).toEqual([]);
      expect(await finishedIn(id)).toEqual([1, 2, 3].map((seq) => [seq, 'dropped', 0]));
    });

    it('is reported even if nothing is queued', async () => {
      const { id } = await hosted();
      await registry.interrupt(id);
      expect((await registry.events(id, '0')).at(-1)).toMatchObject({ type: 'session.interrupted', interruptedSeq: 0 });
    });

    it('leaves what may be playing to the host, and each segment is reported once', async () => {
      const { id, epoch } = await hosted();
      const { queued } = await registry.speak(id, segments(10));
      const [first] = queued;
      if (!first) throw new Error('nothing was queued');
      await registry.speechStarted(id, epoch, first);
      await registry.interrupt(id);
      // The playing segment, and four that the host may have started without having reported it yet.
      expect((await registry.queue(id)).map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
      const finish = (seq: number, reason: 'interrupted' | 'dropped', positionMs: number) => {
        const segment = queued[seq - 1]?.segment ?? '';
        const body = { type: 'speech.finished', seq, segment, positionMs, interrupted: true, reason } as const;
        return registry.speechFinished(id, epoch, body);
      };
      // The host knows all ten, and reports all ten.
      await finish(1, 'interrupted', 120);
      for (let seq = 2; seq <= 10; seq++) await finish(seq, 'dropped', 0);
      const finished = await finishedIn(id);
      expect(finished.toSorted(([a], [b]) => a - b)).toEqual([
        [1, 'interrupted', 120],
        ...[2, 3, 4, 5, 6, 7, 8, 9, 10].map((seq) => [seq, 'dropped', 0]),
      ]);
    });

    it('is completed by the next claim if the host dies before', async () => {
      const { id, host, epoch } = await hosted();
      const { queued } = await registry.speak(id, segments(2));
      if (!queued[0]) throw new Error('nothing was queued');
      await registry.speechStarted(id, epoch, queued[0]);
      const { segment } = queued[0];
      await registry.savePlayhead(id, epoch, { segment, role: 'speech', seq: 1, positionSamples: 48_000, atMs: 0 });
      await registry.interrupt(id);
      expect(await finishedIn(id)).toEqual([]);
      expect(await registry.release(id, host)).toBe(epoch + 1);
      expect(await registry.claim(id, epoch + 1, newId('snd'))).toBe(true);
      expect(await finishedIn(id)).toEqual([
        [1, 'interrupted', 1000],
        [2, 'dropped', 0],
      ]);
      expect(await registry.playQueue(id)).toEqual({ interruptedSeq: 2, queue: [], idleState: 'idle' });
    });

    it('records the saving of a playhead and the claim by the same clock', async () => {
      const { id, host, epoch } = await hosted();
      const playhead = { segment: newId('seg'), role: 'speech', seq: 1, positionSamples: 12.5, atMs: 7 } as const;
      await registry.savePlayhead(id, epoch, playhead);
      await registry.release(id, host);
      await registry.claim(id, epoch + 1, newId('snd'));
      const record = await registry.get(id);
      const [seconds] = await redis.time();
      expect(record.playhead).toEqual({ ...playhead, savedAtMs: expect.any(Number) });
      const savedAtMs = record.playhead?.savedAtMs ?? 0;
      expect(record.claimedAtMs).toBeGreaterThanOrEqual(savedAtMs);
      expect(Number(seconds) - savedAtMs / 1000).toBeLessThan(60);
    });

    it('suppresses a late report that a dropped segment started', async () => {
      const { id, epoch } = await hosted();
      const { queued } = await registry.speak(id, segments(6));
      const last = queued.at(-1);
      if (!last) throw new Error('nothing was queued');
      await registry.interrupt(id);
      expect(await registry.speechStarted(id, epoch, last)).toBe(true);
      expect((await registry.events(id, '0')).map(({ type }) => type)).not.toContain('speech.started');
    });

    it.each([true, false])(
      'by speak() keeps the queue within its limit, however often it is repeated (hosted: %s)',
      async (isHosted) => {
        let id = newId('ses');
        if (isHosted) ({ id } = await hosted());
        else await registry.create(id, 'demo');
        const limit = 20;
        for (let i = 0; i < 30; i++) await registry.speak(id, segments(limit), { interrupt: true, limit });
        expect((await registry.queue(id)).length).toBeLessThanOrEqual(limit + 4);
        await expect(registry.speak(id, segments(1), { limit })).rejects.toMatchObject({ code: 'queue_full' });
        await expect(registry.speak(id, segments(limit + 1), { interrupt: true, limit })).rejects.toMatchObject({
          code: 'queue_full',
        });
        await registry.end(id, 'deleted');
        const seqs = (await finishedIn(id)).map(([seq]) => seq);
        expect(seqs.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 30 * limit }, (_, i) => i + 1));
      },
    );

    it('by speak() leaves a bounded number of reports to the end of the session', async () => {
      const { id } = await hosted();
      for (let i = 0; i < 300; i++) await registry.speak(id, segments(100), { interrupt: true });
      await registry.speak(id, segments(100));
      await redis.config('RESETSTAT');
      await registry.end(id, 'deleted');
      const appended = /cmdstat_xadd:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1];
      // The 200 that are queued, the 4 left to the host, and the end itself.
      expect(Number(appended)).toBe(205);
    });
  });

  describe('turns', () => {
    const stale = (turn: number) => ({ code: 'interrupted', status: 409, extra: { turn } });

    it('are counted by interruptions of either kind, each with its event', async () => {
      const { id } = await hosted();
      expect((await registry.get(id)).turn).toBe(0);
      expect(await registry.interrupt(id)).toMatchObject({ interruptedSeq: 0, turn: 1 });
      expect(await registry.speak(id, [newId('seg')])).toMatchObject({ turn: 1 });
      expect(await registry.speak(id, [newId('seg')], { interrupt: true })).toMatchObject({ turn: 2 });
      expect((await registry.get(id)).turn).toBe(2);
      const events = (await registry.events(id, '0')).filter(({ type }) => type === 'session.interrupted');
      expect(events).toMatchObject([
        { interruptedSeq: 0, turn: 1 },
        { interruptedSeq: 1, turn: 2 },
      ]);
    });

    it('drop what was made for an earlier one, whether it interrupts or not', async () => {
      const { id } = await hosted();
      const { turn } = await registry.speak(id, [newId('seg')], { turn: 0 });
      expect(turn).toBe(0);
      await registry.interrupt(id, { turn: 0 });
      const before = await registry.events(id, '0');
      await expect(registry.speak(id, [newId('seg')], { turn: 0 })).rejects.toMatchObject(stale(1));
      await expect(registry.speak(id, [newId('seg')], { turn: 0, interrupt: true })).rejects.toMatchObject(stale(1));
      await expect(registry.interrupt(id, { turn: 0 })).rejects.toMatchObject(stale(1));
      await expect(registry.speak(id, [newId('seg')], { turn: 2 })).rejects.toMatchObject(stale(1));
      expect(await registry.events(id, '0')).toEqual(before);
      expect((await registry.speak(id, [newId('seg')], { turn: 1 })).queued[0]?.seq).toBe(2);
      expect((await registry.speak(id, [newId('seg')])).queued[0]?.seq).toBe(3);
    });

    it('are told with the viewer whose voice interrupted', async () => {
      const id = newId('ses');
      await registry.create(id, 'demo', { bargeIn: 'stop' });
      expect((await registry.get(id)).bargeIn).toBe('stop');
      await registry.interrupt(id, { viewer: 'vw_12345678' });
      await registry.interrupt(id);
      const events = (await registry.events(id, '0')).filter(({ type }) => type === 'session.interrupted');
      expect(events.map((event) => 'viewer' in event && event.viewer)).toEqual(['vw_12345678', false]);
    });

    it('do not change the answer to a repeated command', async () => {
      const { id } = await hosted();
      const command = { key: 'k', fingerprint: 'a', ttlMs: 60_000 };
      const segments = [newId('seg')];
      const first = await registry.speak(id, segments, { turn: 0, command });
      await registry.interrupt(id);
      expect(await registry.speak(id, segments, { turn: 0, command })).toEqual(first);
    });

    it('begin at 0 for a session that a version without turns created', async () => {
      const { id } = await hosted();
      await redis.hdel(keys.session(id), 'turn');
      expect((await registry.get(id)).turn).toBe(0);
      await registry.speak(id, [newId('seg')], { turn: 0 });
      expect(await registry.interrupt(id, { turn: 0 })).toMatchObject({ turn: 1 });
    });
  });

  it('keeps the idle state over a change of host, and reports each change once', async () => {
    const { id, host, epoch } = await hosted();
    expect(await registry.setState(id, 'thinking')).toEqual({ turn: 0, host });
    await registry.setState(id, 'thinking', 0);
    await registry.interrupt(id);
    await expect(registry.setState(id, 'listening', 0)).rejects.toMatchObject({
      code: 'interrupted',
      extra: { turn: 1 },
    });
    await registry.release(id, host);
    await registry.claim(id, epoch + 1, newId('snd'));
    expect((await registry.get(id)).idleState).toBe('thinking');
    expect((await registry.playQueue(id)).idleState).toBe('thinking');
    await registry.setState(id, 'idle');
    const states = (await registry.events(id, '0')).filter(({ type }) => type === 'session.state');
    expect(states).toMatchObject([{ state: 'thinking' }, { state: 'idle' }]);
    await registry.end(id, 'deleted');
    await expect(registry.setState(id, 'thinking')).rejects.toMatchObject({ code: 'session_ended' });
  });

  describe('a command with an idempotency key', () => {
    const command = (key: string, fingerprint = 'a') => ({ key, fingerprint, ttlMs: 60_000 });

    it('is executed once, and has the same answer under any host', async () => {
      const { id, host } = await hosted();
      const segments = [newId('seg'), newId('seg')];
      const first = await registry.speak(id, segments, { command: command('k') });
      expect(await registry.isDone(id, command('k'))).toBe(true);
      const other = await registry.speak(id, [newId('seg')], { command: command('l') });
      expect(other.queued[0]?.seq).toBe(3);
      expect(await registry.speak(id, segments, { command: command('k') })).toEqual({ ...first, host });
      expect(await registry.queue(id)).toHaveLength(3);
      await registry.interrupt(id, { command: command('m') });
      const later = await registry.speak(id, [newId('seg')]);
      expect(await registry.interrupt(id, { command: command('m') })).toMatchObject({ interruptedSeq: 3 });
      expect((await registry.queue(id)).map(({ seq }) => seq)).toContain(later.queued[0]?.seq);
      const interruptions = (await registry.events(id, '0')).filter(({ type }) => type === 'session.interrupted');
      expect(interruptions).toHaveLength(1);
    });

    it('is rejected if the key was used for a different command in this session', async () => {
      const { id } = await hosted();
      await registry.speak(id, [newId('seg')], { command: command('k') });
      const again = registry.speak(id, [newId('seg')], { command: command('k', 'b') });
      await expect(again).rejects.toMatchObject({ code: 'idempotency_key_reused' });
      const interrupt = registry.interrupt(id, { command: command('k', 'c') });
      await expect(interrupt).rejects.toMatchObject({ code: 'idempotency_key_reused' });
      const { id: other } = await hosted();
      await registry.speak(other, [newId('seg')], { command: command('k', 'b') });
      expect(await registry.queue(id)).toHaveLength(1);
    });

    it('is not remembered if it was rejected', async () => {
      const { id } = await hosted();
      const segments = [newId('seg')];
      await expect(registry.speak(id, segments, { limit: 0, command: command('k') })).rejects.toMatchObject({
        code: 'queue_full',
      });
      expect((await registry.speak(id, segments, { command: command('k') })).queued[0]?.seq).toBe(1);
    });

    it('is forgotten after its time to live, and the oldest above 128 per session', async () => {
      let now = Date.now();
      const aging = new SessionRegistry(redis, () => now);
      const { id } = await hosted();
      const interrupt = (key: string) => aging.interrupt(id, { command: command(key) });
      await interrupt('first');
      now += 60_001;
      await aging.speak(id, [newId('seg')]);
      expect(await interrupt('first')).toMatchObject({ interruptedSeq: 1 });
      for (let i = 0; i < 400; i++) await interrupt(`key-${i}`);
      expect(await redis.hlen(keys.sessionCommands(id))).toBeLessThanOrEqual(2 * 128 + 1);
      expect(await registry.isDone(id, command('key-399'))).toBe(true);
      expect(await registry.isDone(id, command('key-271'))).toBe(false);
    });
  });

  describe('with Redis full', () => {
    afterEach(async () => {
      await redis.config('SET', 'maxmemory', '0');
    });

    it('ends, frees and moves sessions, and rejects anything new', async () => {
      const { id, host, epoch } = await hosted();
      const viewer = newId('vw');
      const { attempt } = await registry.putViewer(id, viewer, 'sig_a', { limit: 2 });
      const { queued } = await registry.speak(id, [newId('seg'), newId('seg'), newId('seg')]);
      await redis.config('SET', 'maxmemory', '1');
      await expect(registry.create(newId('ses'), 'demo')).rejects.toThrow('OOM');
      await expect(registry.speak(id, [newId('seg')], { interrupt: true })).rejects.toThrow('OOM');
      await expect(registry.putViewer(id, newId('vw'), 'sig_a', { limit: 2 })).rejects.toThrow('OOM');
      expect((await registry.playQueue(id)).interruptedSeq).toBe(0);

      const [first] = queued;
      if (!first) throw new Error('nothing was queued');
      const finished = {
        type: 'speech.finished',
        ...first,
        positionMs: 1,
        interrupted: false,
        reason: 'finished',
      } as const;
      expect(await registry.speechStarted(id, epoch, first)).toBe(true);
      expect(await registry.speechFinished(id, epoch, finished)).toBe(true);
      expect(await registry.interrupt(id)).toMatchObject({ interruptedSeq: 3, host });
      expect(await registry.resume(id, epoch, host)).toBe(true);
      expect(await registry.viewerGone(id, epoch, viewer, attempt)).toBe(true);
      expect(await registry.release(id, host, epoch)).toBe(epoch + 1);
      expect(await registry.claim(id, epoch + 1, newId('snd'))).toBe(true);
      expect(await registry.end(id, 'deleted')).toMatchObject({ ended: true });
      expect(await registry.queue(id)).toEqual([]);
    });
  });

  describe('a host that lost its lease', () => {
    it('removes no viewer', async () => {
      const { id, host, epoch } = await hosted();
      const viewer = newId('vw');
      const { attempt } = await registry.putViewer(id, viewer, 'sig_a', { limit: 2 });
      await registry.release(id, host);
      expect(await registry.viewerGone(id, epoch, viewer, attempt)).toBe(false);
      await registry.claim(id, epoch + 1, newId('snd'));
      expect(await registry.viewerGone(id, epoch, viewer, attempt)).toBe(false);
      expect(await registry.viewers(id)).toHaveLength(1);
      expect(await registry.viewerGone(id, epoch + 1, viewer, attempt)).toBe(true);
      expect(await registry.viewers(id)).toEqual([]);
    });
  });

  it('keeps a viewer who requested a new connection while the host gave up the previous one', async () => {
    const { id, epoch } = await hosted();
    const viewer = newId('vw');
    const { attempt } = await registry.putViewer(id, viewer, 'sig_a', { limit: 2 });
    await registry.putViewer(id, viewer, 'sig_a', { limit: 2 });
    expect(await registry.viewerGone(id, epoch, viewer, attempt)).toBe(true);
    expect(await registry.viewers(id)).toHaveLength(1);
  });

  it('drops what is still queued when the session ends, and then rejects more', async () => {
    const { id } = await hosted();
    await registry.speak(id, [newId('seg'), newId('seg')]);
    expect(await registry.end(id, 'deleted')).toMatchObject({ ended: true });
    const types = (await registry.events(id, '0')).map((event) => event.type);
    expect(types).toEqual(['session.hosted', 'speech.finished', 'speech.finished', 'session.ended']);
    await expect(registry.speak(id, [newId('seg')])).rejects.toMatchObject({ code: 'session_ended' });
    expect(await registry.end(id, 'deleted')).toMatchObject({ ended: false });
  });

  it('reports the position of the playing segment when the session ends', async () => {
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

  describe('the end of what a viewer says', () => {
    const saidAtMs = Date.now();
    const voices = async (id: string) =>
      (await registry.events(id, '0')).flatMap((event) =>
        event.type === 'viewer.speaking' || event.type === 'viewer.silent' ? [[event.type, event.viewer]] : [],
      );

    it('is told by the next claim if the host dies or hands over, once, and only of those that still speak', async () => {
      const { id, host, epoch } = await hosted();
      const [one, two] = [newId('vw'), newId('vw')];
      await registry.emit(id, epoch, { type: 'viewer.speaking', viewer: one, saidAtMs });
      await registry.emit(id, epoch, { type: 'viewer.speaking', viewer: two, saidAtMs });
      await registry.emit(id, epoch, { type: 'viewer.silent', viewer: one, saidAtMs });
      const next = await registry.release(id, host, epoch);
      expect(await registry.claim(id, next ?? 0, newId('snd'))).toBe(true);
      // What its host still says is too late.
      expect(await registry.emit(id, epoch, { type: 'viewer.silent', viewer: two, saidAtMs })).toBe(false);
      expect(await voices(id)).toEqual([
        ['viewer.speaking', one],
        ['viewer.speaking', two],
        ['viewer.silent', one],
        ['viewer.silent', two],
      ]);
      const events = await registry.events(id, '0');
      const types = events.map(({ type }) => type);
      expect(types.slice(-2)).toEqual(['viewer.silent', 'session.moved']);
      expect(events.at(-2)).toMatchObject({ saidAtMs: expect.closeTo(Date.now(), -5) });
      const host2 = (await registry.get(id)).host ?? '';
      const third = await registry.release(id, host2);
      expect(await registry.claim(id, third ?? 0, newId('snd'))).toBe(true);
      expect(await voices(id)).toHaveLength(4);
    });

    it('is told when the session ends', async () => {
      const { id, epoch } = await hosted();
      const viewer = newId('vw');
      await registry.emit(id, epoch, { type: 'viewer.speaking', viewer, saidAtMs }, 1);
      // Repeated after a lost answer.
      await registry.emit(id, epoch, { type: 'viewer.speaking', viewer, saidAtMs }, 1);
      await registry.end(id, 'deleted');
      const types = (await registry.events(id, '0')).map(({ type }) => type);
      expect(types).toEqual(['session.hosted', 'viewer.speaking', 'viewer.silent', 'session.ended']);
    });
  });

  describe('trimmed events', () => {
    const connected = () => ({ type: 'viewer.connected', viewer: newId('vw') }) as const;
    const held = () => ({ type: 'playback.held', segment: newId('seg'), heldMs: 1 }) as const;
    async function say(id: string, epoch: number, count: number, make: () => SessionEventBody): Promise<void> {
      for (let n = 0; n < count; n++) await registry.emit(id, epoch, make());
    }
    const typesOf = (events: readonly { type: string }[]) => new Set(events.map(({ type }) => type));
    /** @returns Everything that a reader gets after `afterId`, read page by page. */
    async function readOn(id: string, afterId: string): Promise<SessionEvent[]> {
      const events: SessionEvent[] = [];
      for (let cursor = afterId; ; ) {
        const { entries, lastId, more } = await registry.eventPage(id, cursor, 256);
        events.push(...entries);
        cursor = lastId;
        if (!more) return events;
      }
    }

    it('eventPage() reports missed events once, then returns all that are kept', async () => {
      const { id, epoch } = await hosted();
      const seen = await registry.lastEventId(id);
      await say(id, epoch, 2100, held);
      const events = await readOn(id, seen);
      const missed = events.filter((event) => event.type === 'events.missed');
      expect(missed).toHaveLength(1);
      expect(events[0]).toEqual({
        type: 'events.missed',
        afterId: seen,
        scope: 'all',
        session: id,
        atMs: expect.any(Number),
        throughId: missed[0]?.throughId,
        id: missed[0]?.throughId,
      });
      const kept = await redis.xrange(keys.sessionEvents(id), '-', '+');
      expect(events.slice(1).map((event) => event.id)).toEqual(kept.map(([key]) => key));
      expect(kept.length).toBeGreaterThanOrEqual(2000);
      expect(kept.length).toBeLessThan(2100);
    });

    it('eventPage() reports no missed events to a reader that has seen the last trimmed one', async () => {
      const { id, epoch } = await hosted();
      await say(id, epoch, 2099, held);
      const trimmed = await redis.hget(keys.session(id), 'missed');
      expect(typesOf(await readOn(id, trimmed ?? ''))).toEqual(new Set(['playback.held']));
      const before = `${Number(trimmed?.split('-')[0]) - 1}-0`;
      expect(typesOf(await readOn(id, before))).toEqual(new Set(['events.missed', 'playback.held']));
    });

    it('are not about speech if viewers caused the trimming', async () => {
      const { id, epoch } = await hosted();
      const { queued } = await registry.speak(id, [newId('seg')]);
      const seen = await registry.lastEventId(id);
      const item = queued[0];
      if (!item) throw new Error('nothing was queued');
      await registry.speechFinished(id, epoch, {
        type: 'speech.finished',
        ...item,
        positionMs: 10,
        interrupted: false,
        reason: 'finished',
      });
      await say(id, epoch, 2500, connected);
      const events = await readOn(id, seen);
      expect(events[0]).toMatchObject({ type: 'speech.finished', seq: item.seq });
      expect(events.filter(({ type }) => type === 'viewer.connected')).toHaveLength(500);
      expect(events.filter(({ type }) => type === 'events.missed')).toMatchObject([
        { scope: 'viewers', afterId: seen },
      ]);
      // A reader that continues after any of them receives only what it has missed.
      const [missed] = events.filter(({ type }) => type === 'events.missed');
      expect(typesOf(await readOn(id, missed?.id ?? ''))).toEqual(new Set(['viewer.connected']));
    });

    it('are not reported for a session without any', async () => {
      const { id } = await hosted();
      expect(typesOf(await readOn(id, '0'))).toEqual(new Set(['session.hosted']));
    });
  });

  describe('records of another version', () => {
    it('events() skips unknown and unreadable events, and returns those after them', async () => {
      const { id, epoch } = await hosted();
      await redis.xadd(keys.sessionEvents(id), '*', 'e', '{"type":"speech.paused"}', 'at', '1');
      await redis.xadd(keys.sessionEvents(id), '*', 'e', '{"type":', 'at', '1');
      await redis.xadd(keys.sessionEvents(id), '*', 'e', '{"type":"session.ended","reason":"x","v":2}', 'at', '1');
      await registry.emit(id, epoch, { type: 'viewer.connected', viewer: newId('vw') });
      const types = (await registry.events(id, '0')).map((event) => event.type);
      expect(types).toEqual(['session.hosted', 'viewer.connected']);
    });

    it('eventPage() continues after a page of unreadable entries only', async () => {
      const { id } = await hosted();
      const after = await registry.lastEventId(id);
      const unknown = await redis.xadd(keys.sessionEvents(id), '*', 'e', '{"type":"speech.paused"}', 'at', '1');
      expect(await registry.eventPage(id, after, 1)).toEqual({ entries: [], lastId: unknown, more: true });
    });

    it('events() keeps a finished event with an unknown reason, and drops unknown members', async () => {
      const { id } = await hosted();
      const body = { type: 'speech.finished', seq: 1, segment: newId('seg'), positionMs: 1, interrupted: true };
      await redis.xadd(
        keys.sessionEvents(id),
        '*',
        'e',
        JSON.stringify({ ...body, reason: 'bored', mood: 1 }),
        'at',
        '1',
      );
      const [event] = (await registry.events(id, '0')).filter(({ type }) => type === 'speech.finished');
      expect(event).toEqual({ ...body, reason: 'failed', id: event?.id, session: id, atMs: 1 });
    });

    it('list() omits a session in an unknown state but keeps it indexed; get() throws record_unreadable', async () => {
      const [known, later] = [await hosted(), await hosted()];
      await redis.hset(keys.session(later.id), 'state', 'paused');
      const past = new SessionRegistry(redis, () => Date.now() + 3_600_000);
      const ids = (await past.list()).map(({ id }) => id);
      expect(ids).toContain(known.id);
      expect(ids).not.toContain(later.id);
      expect(await redis.zscore(keys.sessionIndex, later.id)).not.toBeNull();
      await expect(registry.get(later.id)).rejects.toMatchObject({ code: 'record_unreadable', status: 409 });
      expect(await registry.end(later.id, 'deleted')).toMatchObject({ ended: true });
    });

    it('outlines() includes a session in an unknown state, and none that has ended', async () => {
      const [later, ended] = [await hosted(), await hosted()];
      await redis.hset(keys.session(later.id), 'state', 'paused');
      await registry.end(ended.id, 'deleted');
      await redis.zadd(keys.sessionIndex, '1', ended.id);
      const outlines = await registry.outlines();
      expect(outlines).toContainEqual({ id: later.id, avatar: 'demo' });
      expect(outlines.map(({ id }) => id)).not.toContain(ended.id);
    });

    it('get() omits an unreadable playhead', async () => {
      const { id, host } = await hosted();
      await redis.hset(keys.session(id), { playhead: '{"scene":3}', mood: 'merry' });
      expect(await registry.get(id)).toMatchObject({ state: 'hosted', host, playhead: undefined });
    });

    it('viewers() omits a viewer with an unreadable record', async () => {
      const { id } = await hosted();
      const viewer = newId('vw');
      await registry.putViewer(id, viewer, 'sig_a', { limit: 3 });
      await redis.hset(keys.sessionViewers(id), newId('vw'), '{"viewer":');
      expect((await registry.viewers(id)).map((record) => record.viewer)).toEqual([viewer]);
    });
  });

  it('keeps a viewer who moved to another connection when the old one closes', async () => {
    const { id } = await hosted();
    const viewer = newId('vw');
    expect(await registry.putViewer(id, viewer, 'sig_a', { limit: 2 })).toMatchObject({ attempt: 1 });
    expect(await registry.moveViewer(id, viewer, 'sig_b')).toMatchObject({ found: true });
    expect(await registry.removeViewer(id, viewer, 'sig_a')).toMatchObject({ removed: false });
    expect(await registry.viewers(id)).toHaveLength(1);
  });

  describe('a viewer placed on a follower', () => {
    async function placed() {
      const session = await hosted();
      const [viewer, sender] = [newId('vw'), newId('snd')];
      await registry.putViewer(session.id, viewer, 'sig_a', { limit: 3 });
      expect(await registry.placeViewer(session.id, viewer, 1, sender)).toEqual({
        placed: true,
        host: session.host,
        epoch: session.epoch,
      });
      return { ...session, viewer, sender };
    }

    it('is served there, whichever process changes it', async () => {
      const { id, viewer, sender } = await placed();
      expect(await registry.moveViewer(id, viewer, 'sig_b')).toMatchObject({ sender, found: true });
      expect(await registry.putViewer(id, viewer, 'sig_b', { limit: 3 })).toEqual({ attempt: 2, sender });
      expect(await registry.restartViewerIce(id, viewer, 'abcd', 'efgh')).toEqual({ changed: true, sender });
      expect(await registry.viewer(id, viewer)).toMatchObject({ sender, attempt: 2, mailbox: 'sig_b' });
      expect(await registry.placedViewers(id, sender)).toEqual([await registry.viewer(id, viewer)]);
      expect(await registry.removeViewer(id, viewer)).toEqual({ removed: true, sender });
      expect(await registry.placedViewers(id, sender)).toEqual([]);
    });

    it('stays there when the host changes', async () => {
      const { id, host, viewer, sender } = await placed();
      const other = newId('vw');
      await registry.putViewer(id, other, 'sig_a', { limit: 3 });
      const epoch = (await registry.release(id, host)) ?? 0;
      const next = newId('snd');
      await registry.claim(id, epoch, next);
      expect(await registry.putViewer(id, viewer, 'sig_a', { limit: 3 })).toMatchObject({ sender });
      expect(await registry.putViewer(id, other, 'sig_a', { limit: 3 })).toMatchObject({ sender: next });
    });

    it('is placed nowhere else, and only in its latest attempt', async () => {
      const { id, viewer, sender } = await placed();
      const other = newId('snd');
      expect(await registry.placeViewer(id, viewer, 1, other)).toMatchObject({ placed: false });
      expect(await registry.placeViewer(id, viewer, 1, sender)).toMatchObject({ placed: true });
      await registry.putViewer(id, viewer, 'sig_a', { limit: 3 });
      expect(await registry.placeViewer(id, viewer, 1, sender)).toMatchObject({ placed: false });
      expect(await registry.placeViewer(id, viewer, 2, sender)).toMatchObject({ placed: true });
      expect(await registry.placeViewer(id, newId('vw'), 1, sender)).toMatchObject({ placed: false });
      expect(await registry.followers(id)).toEqual([sender]);
    });

    it('is not removed by the host, nor by a media-sender that it left', async () => {
      const { id, epoch, viewer, sender } = await placed();
      expect(await registry.viewerGone(id, epoch, viewer, 1)).toBe(true);
      await registry.placedViewerGone(id, newId('snd'), viewer, 1);
      await registry.placedViewerGone(id, sender, viewer, 2);
      expect(await registry.viewerCount(id)).toBe(1);
      await registry.placedViewerGone(id, sender, viewer, 1);
      expect(await registry.viewerCount(id)).toBe(0);
    });

    it('needs no follower if it is placed on the host', async () => {
      const { id, host } = await hosted();
      const viewer = newId('vw');
      await registry.putViewer(id, viewer, 'sig_a', { limit: 3 });
      expect(await registry.placeViewer(id, viewer, 1, host)).toMatchObject({ placed: true });
      expect(await registry.followers(id)).toEqual([]);
      expect((await registry.viewer(id, viewer))?.sender).toBeUndefined();
    });

    it('is taken from a dead follower, with all others there, in bounded steps', async () => {
      const { id, host, sender } = await placed();
      const other = newId('snd');
      for (let n = 0; n < 1200; n++) {
        const viewer = newId('vw');
        await registry.putViewer(id, viewer, 'sig_a', { limit: 5000 });
        await registry.placeViewer(id, viewer, 1, n % 6 === 0 ? other : sender);
      }
      expect(await registry.placedViewers(id, sender)).toHaveLength(1001);
      expect(await registry.leaveSession(id, sender)).toEqual({ left: false, host });
      expect(await registry.unplaceViewers(id, sender)).toEqual({ viewers: 1001, host });
      expect(await registry.unplaceViewers(id, sender)).toEqual({ viewers: 0, host });
      expect(await registry.placedViewers(id, sender)).toEqual([]);
      expect(await registry.placedViewers(id, other)).toHaveLength(200);
      const taken = (await registry.viewers(id)).filter((record) => record.sender === undefined);
      expect(taken.map(({ attempt }) => attempt)).toEqual(Array(1001).fill(2));
      expect(await registry.followers(id)).toEqual([other]);
    });

    it('keeps its follower until it leaves', async () => {
      const { id, host, viewer, sender } = await placed();
      expect(await registry.follows(id, sender)).toBe(true);
      expect(await registry.leaveSession(id, sender)).toEqual({ left: false, host });
      await registry.removeViewer(id, viewer);
      expect(await registry.leaveSession(id, sender)).toEqual({ left: true, host });
      expect(await registry.follows(id, sender)).toBe(false);
    });

    it('counts only where its record says, because the previous version rewrites records without their placements', async () => {
      const { id, viewer, sender } = await placed();
      const record = { viewer, mailbox: 'sig_a', attempt: 2, joinedAtMs: 1 };
      await redis.hset(keys.sessionViewers(id), viewer, JSON.stringify(record));
      expect(await registry.placedViewers(id, sender)).toEqual([]);
      expect(await registry.leaveSession(id, sender)).toMatchObject({ left: true });
      expect(await registry.placeViewer(id, viewer, 2, newId('snd'))).toMatchObject({ placed: true });
    });

    it('has events from its follower, until the session ends', async () => {
      const { id, viewer, sender } = await placed();
      const body = { type: 'viewer.connected', viewer } as const;
      expect(await registry.emitFollowed(id, sender, body)).toBe(true);
      expect(await registry.emitFollowed(id, newId('snd'), body)).toBe(false);
      expect(await registry.end(id, 'deleted')).toMatchObject({ ended: true, followers: [sender] });
      expect(await registry.end(id, 'deleted')).toMatchObject({ ended: false, followers: [sender] });
      expect(await registry.emitFollowed(id, sender, body)).toBe(false);
      const types = (await registry.events(id, '0')).map(({ type }) => type);
      expect(types).toEqual(['session.hosted', 'viewer.connected', 'session.ended']);
      expect(await redis.exists(keys.sessionViewers(id), keys.sessionPlacements(id))).toBe(0);
      expect(await redis.ttl(keys.sessionFollowers(id))).toBeGreaterThan(0);
    });
  });

  it('scanViewers() returns every viewer of a large session in steps, and a small one at once', async () => {
    const { id } = await hosted();
    const viewers = Array.from({ length: 1500 }, () => newId('vw'));
    await registry.putViewer(id, viewers[0] ?? '', 'sig_a', { limit: 5000 });
    expect(await registry.scanViewers(id, undefined, 200)).toMatchObject({
      viewers: [{ viewer: viewers[0] }],
      cursor: undefined,
    });
    for (const viewer of viewers) await registry.putViewer(id, viewer, 'sig_a', { limit: 5000 });
    const found = new Set<string>();
    let steps = 0;
    for (let cursor: string | undefined; steps === 0 || cursor !== undefined; steps++) {
      const page = await registry.scanViewers(id, cursor, 200);
      expect(page.viewers.length).toBeLessThan(500);
      for (const { viewer } of page.viewers) found.add(viewer);
      cursor = page.cursor;
    }
    expect(steps).toBeGreaterThan(3);
    expect(found).toEqual(new Set(viewers));
  });
});
