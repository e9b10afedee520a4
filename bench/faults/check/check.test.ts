import { describe, expect, it } from 'vitest';
import { type HistoryInput, historyRecordSchema } from '../history.ts';
import { checkHistory } from './check.ts';

const FRAMES = 50;
const SESSION = 'ses_1';

/** Builds the history of a session; times in ms. */
class HistoryBuilder {
  readonly #records: HistoryInput[] = [
    { type: 'run', seed: 1, startedAt: '2026-01-01T00:00:00Z', fps: 25, plan: '' },
    ...['a', 'b', 'c', 'd'].map((name) => ({ type: 'segment' as const, segment: name, frames: FRAMES })),
  ];
  #eventNumber = 0;

  speak(
    segments: readonly string[],
    seqs: readonly number[],
    {
      atMs = 0,
      ...more
    }: { atMs?: number; outcome?: 'ok' | 'failed' | 'unknown'; interrupt?: boolean; key?: string } = {},
  ): this {
    return this.#command('speak', atMs, { segments: [...segments], seqs: [...seqs], ...more });
  }

  interrupt(interruptedSeq: number, atMs: number): this {
    return this.#command('interrupt', atMs, { interruptedSeq });
  }

  end(atMs: number): this {
    return this.#command('end', atMs, {});
  }

  delete(segment: string, atMs: number): this {
    return this.#add({
      type: 'command',
      command: 'delete',
      segments: [segment],
      sentMs: atMs,
      doneMs: atMs,
      outcome: 'ok',
    });
  }

  event(type: string, body: { seq?: number; segment?: string; reason?: string } = {}, { id = '' } = {}): this {
    const event = { id: id || `1-${++this.#eventNumber}`, type, ...body };
    return this.#add({ type: 'event', session: SESSION, receivedMs: 0, event });
  }

  /** Adds a segment that started and played to the end. */
  played(segment: string, seq: number): this {
    return this.event('speech.started', { segment, seq }).event('speech.finished', {
      segment,
      seq,
      reason: 'finished',
    });
  }

  frames(
    segment: string,
    [firstFrame, lastFrame]: readonly [number, number],
    fromMs: number,
    more: Partial<Omit<Extract<HistoryInput, { type: 'frames' }>, 'type'>> = {},
  ): this {
    const {
      epoch = 1,
      connection = `c${epoch}`,
      viewer = 'v',
      lostBefore = 0,
      lostAfter = lostBefore,
      catchUp = 0,
    } = more;
    const untilMs = fromMs + (lastFrame - firstFrame) * 40;
    const common = { session: SESSION, viewer, connection, epoch, segment };
    return this.#add({
      type: 'frames',
      ...common,
      firstFrame,
      lastFrame,
      catchUp,
      fromMs,
      untilMs,
      lostBefore,
      lostAfter,
    });
  }

  receive(epoch: number, firstMs: number, lastMs: number, viewer = 'v'): this {
    return this.#add({ type: 'connection', session: SESSION, viewer, connection: `c${epoch}`, epoch, firstMs, lastMs });
  }

  also(record: HistoryInput): this {
    return this.#add(record);
  }

  close({ complete = true } = {}): this {
    return this.#add({ type: 'closed', session: SESSION, atMs: 99_000, complete });
  }

  /** @returns the violated rules, after the records went through the reader of history files. */
  rules(): string[] {
    return this.result().violations.map(({ rule }) => rule);
  }

  result() {
    return checkHistory(this.#records.map((record) => historyRecordSchema.parse(JSON.parse(JSON.stringify(record)))));
  }

  #command(command: 'speak' | 'interrupt' | 'end', atMs: number, more: Partial<HistoryInput>): this {
    return this.#add({
      type: 'command',
      command,
      session: SESSION,
      sentMs: atMs,
      doneMs: atMs,
      outcome: 'ok',
      ...more,
    } as HistoryInput);
  }

  #add(record: HistoryInput): this {
    this.#records.push(record);
    return this;
  }
}

const history = () => new HistoryBuilder();
/** Two segments that were requested, played and received correctly. */
const good = () =>
  history()
    .speak(['a', 'b'], [1, 2])
    .played('a', 1)
    .played('b', 2)
    .frames('a', [0, 49], 1000)
    .frames('b', [0, 49], 3000)
    .receive(1, 500, 9000);

describe('checkHistory() on a correct history', () => {
  it('finds no violation, and counts what it checked', () => {
    const { violations, counted } = good().event('session.ended').end(9000).close().result();
    expect(violations).toEqual([]);
    expect(counted).toMatchObject({
      sessions: 1,
      accepted: 2,
      finished: { finished: 2 },
      receivedSegments: 2,
      connections: 1,
      events: 5,
    });
  });

  it('allows a new host to repeat frames within the limit, also of the previous segment', () => {
    const moved = history()
      .speak(['a', 'b'], [1, 2])
      .played('a', 1)
      .played('b', 2)
      .frames('a', [0, 49], 1000)
      .frames('b', [0, 5], 3000)
      .frames('a', [25, 49], 5000, { epoch: 2 })
      .frames('b', [0, 49], 6000, { epoch: 2 });
    expect(moved.rules()).toEqual([]);
    expect(moved.result().counted.framesAgain).toBe(25);
  });

  it('does not count the catch-up GOP of a restarted decoder as repeated', () => {
    const restarted = (catchUp: number) =>
      history().speak(['a'], [1]).frames('a', [0, 40], 0).frames('a', [25, 49], 1700, { catchUp });
    expect(restarted(16).rules()).toEqual([]);
    expect(restarted(15).rules()).toEqual([]);
    expect(restarted(14).rules()).toEqual(['frames-repeated']);
  });

  it('allows a late viewer to receive less', () => {
    expect(good().frames('b', [25, 49], 4000, { viewer: 'w', connection: 'other' }).rules()).toEqual([]);
  });

  it('allows missing frames after packet loss', () => {
    const lossy = history()
      .speak(['a'], [1])
      .frames('a', [0, 9], 0, { lostAfter: 1 })
      .frames('a', [12, 49], 500, { lostBefore: 1 });
    expect(lossy.rules()).toEqual([]);
  });

  it('allows interrupted segments to be dropped, or cut off', () => {
    const cut = history()
      .speak(['a', 'b', 'c'], [1, 2, 3])
      .interrupt(2, 1000)
      .event('speech.started', { segment: 'a', seq: 1 })
      .event('speech.finished', { segment: 'a', seq: 1, reason: 'interrupted' })
      .event('speech.finished', { segment: 'b', seq: 2, reason: 'dropped' })
      .played('c', 3)
      .frames('a', [0, 20], 500)
      .frames('c', [0, 49], 1400);
    expect(cut.rules()).toEqual([]);
  });

  it('accepts a command with an unknown outcome as done or not done', () => {
    expect(history().speak(['a'], [], { outcome: 'unknown' }).event('session.ended').close().rules()).toEqual([]);
    expect(history().speak(['a'], [], { outcome: 'unknown' }).played('a', 1).frames('a', [0, 49], 0).rules()).toEqual(
      [],
    );
  });

  it('treats attempts with one key as one command', () => {
    const retried = history()
      .speak(['a'], [], { outcome: 'unknown', key: 'k' })
      .speak(['a'], [1], { key: 'k' })
      .played('a', 1);
    expect(retried.rules()).toEqual([]);
  });

  it('allows the old host to send for a while only in a planned hand-over', () => {
    const drained = { type: 'fault', fault: 'drain', overlaps: true, beganMs: 4000, endedMs: 6000 } as const;
    const moved = () => history().speak(['a'], [1]).receive(1, 0, 6500).receive(2, 5000, 9000);
    expect(moved().rules()).toEqual(['two-hosts']);
    expect(moved().also(drained).rules()).toEqual([]);
    expect(
      moved()
        .also({ ...drained, overlaps: false })
        .rules(),
    ).toEqual(['two-hosts']);
  });

  it('does not blame the hosts for media that was delayed in transit', () => {
    const waited = { type: 'fault', fault: 'coturn', overlaps: false, beganMs: 2000, endedMs: 4500 } as const;
    const played = () => good().delete('b', 1500).interrupt(2, 1500);
    expect(
      played()
        .also({ ...waited, delaysMedia: true })
        .rules(),
    ).toEqual([]);
    expect(played().also(waited).rules()).toEqual(['played-after-interrupt', 'played-after-delete']);
    expect(
      played()
        .also({ ...waited, delaysMedia: true, endedMs: 3900 })
        .rules(),
    ).toHaveLength(2);
  });

  it('does not count a GOP that was sent again after a pause as repeated', () => {
    const restarted = (ms: number) =>
      history()
        .speak(['a'], [1])
        .frames('a', [0, 30], 0)
        .frames('a', [25, 49], 30 * 40 + ms);
    expect(restarted(300).rules()).toEqual([]);
    expect(restarted(100).rules()).toEqual(['frames-repeated']);
  });

  it('does not blame the hosts for what the tool read late', () => {
    const moved = () => history().speak(['a'], [1]).receive(1, 0, 5100).receive(2, 5000, 9000);
    expect(moved().also({ type: 'stall', atMs: 5050, stallMs: 120 }).rules()).toEqual([]);
    expect(moved().also({ type: 'stall', atMs: 5050, stallMs: 80 }).rules()).toEqual(['two-hosts']);
    expect(moved().also({ type: 'stall', atMs: 8000, stallMs: 120 }).rules()).toEqual(['two-hosts']);
  });
});

describe('checkHistory() on a broken history', () => {
  it.each<[string, () => HistoryBuilder, string[]]>([
    [
      'a segment that was finished twice',
      () => good().event('speech.finished', { segment: 'b', seq: 2, reason: 'finished' }),
      ['finished-once', 'queue-order'],
    ],
    [
      'a segment that was accepted and forgotten',
      () => good().speak(['c'], [3]).event('session.ended').close(),
      ['accepted-lost'],
    ],
    [
      'a segment that started and never finished',
      () =>
        history()
          .speak(['a'], [], { outcome: 'unknown' })
          .event('speech.started', { segment: 'a', seq: 1 })
          .event('session.ended')
          .close(),
      ['accepted-lost'],
    ],
    [
      'a segment that started twice',
      () => history().speak(['a'], [1]).event('speech.started', { segment: 'a', seq: 1 }).played('a', 1),
      ['queue-order', 'started-once'],
    ],
    [
      'a segment that finished without a start',
      () => history().speak(['a'], [1]).event('speech.finished', { segment: 'a', seq: 1, reason: 'finished' }),
      ['started-once'],
    ],
    [
      'segments that were played in another order',
      () => history().speak(['a', 'b'], [1, 2]).played('b', 2).played('a', 1),
      ['queue-order', 'queue-order'],
    ],
    [
      'an event that came twice',
      () => history().event('session.hosted', {}, { id: '5-1' }).event('session.hosted', {}, { id: '5-1' }),
      ['event-order'],
    ],
    [
      'events that came in another order',
      () => history().event('session.hosted', {}, { id: '10-0' }).event('session.hosted', {}, { id: '9-1' }),
      ['event-order'],
    ],
    ['an event after the end', () => history().event('session.ended').event('viewer.connected'), ['after-end']],
    [
      'a speak that was accepted after the end',
      () => history().end(1000).speak(['a'], [1], { atMs: 2000 }),
      ['after-end'],
    ],
    ['a session whose readers miss the end', () => history().end(1000).close({ complete: false }), ['events-lost']],
    [
      'a rejected speak that took effect',
      () => history().speak(['a'], [], { outcome: 'failed' }).played('a', 1),
      ['rejected-but-done'],
    ],
    [
      'a rejected speak that was played',
      () => history().speak(['a'], [], { outcome: 'failed' }).frames('a', [0, 49], 0),
      ['rejected-but-done'],
    ],
    [
      'a retry that took effect again',
      () =>
        history()
          .speak(['a'], [], { outcome: 'unknown', key: 'k' })
          .speak(['a'], [2], { key: 'k' })
          .played('a', 1)
          .played('a', 2),
      ['queued-twice'],
    ],
    ['a segment that was never requested', () => history().played('a', 1), ['unrequested', 'unrequested']],
    ['frames repeated on the same connection', () => good().frames('b', [48, 49], 5000), ['frames-repeated']],
    [
      'a new host that repeats more than the limit',
      () =>
        history()
          .speak(['a'], [1])
          .also({ type: 'segment', segment: 'a', frames: 200 })
          .frames('a', [0, 150], 0)
          .frames('a', [70, 199], 8000, { epoch: 2 }),
      ['frames-repeated'],
    ],
    [
      'a segment received completely twice, on two connections',
      () =>
        history()
          .speak(['a'], [1])
          .also({ type: 'segment', segment: 'a', frames: 100 })
          .frames('a', [0, 99], 0)
          .frames('a', [0, 99], 9000, { epoch: 2 }),
      ['frames-repeated'],
    ],
    [
      'segments received in another order',
      () => history().speak(['a', 'b'], [1, 2]).frames('b', [0, 49], 0).frames('a', [0, 49], 3000),
      ['frame-order'],
    ],
    [
      'missing frames',
      () => history().speak(['a'], [1]).frames('a', [0, 9], 0).frames('a', [11, 49], 440),
      ['frames-missing'],
    ],
    [
      'missing frames after a pause of the host',
      () => history().speak(['a'], [1]).frames('a', [0, 9], 0).frames('a', [11, 49], 2400),
      ['frames-missing'],
    ],
    [
      'a missing end of a segment after a pause of the host',
      () => history().speak(['a', 'b'], [1, 2]).played('a', 1).frames('a', [0, 48], 0).frames('b', [0, 49], 4000),
      ['frames-missing'],
    ],
    [
      'an old host that sends after the end of a session in a planned hand-over',
      () =>
        history()
          .speak(['a'], [1])
          .receive(1, 0, 9000)
          .receive(2, 5000, 6000)
          .end(6000)
          .also({ type: 'fault', fault: 'drain', overlaps: true, beganMs: 4000, endedMs: 6000 }),
      ['played-after-end'],
    ],
    [
      'a segment that was reported as played and cut short',
      () => history().speak(['a', 'b'], [1, 2]).played('a', 1).frames('a', [0, 30], 0).frames('b', [0, 49], 1300),
      ['frames-missing'],
    ],
    [
      'a segment whose beginning is missing',
      () => history().speak(['a', 'b'], [1, 2]).frames('a', [0, 49], 0).frames('b', [3, 49], 2000),
      ['frames-missing'],
    ],
    [
      'a segment that was reported as played and not received',
      () =>
        history().speak(['a', 'b', 'c'], [1, 2, 3]).played('b', 2).frames('a', [0, 49], 0).frames('c', [0, 49], 2000),
      ['frames-missing'],
    ],
    [
      'two hosts at once, at two viewers',
      () => history().receive(1, 0, 5100, 'v').receive(2, 5000, 9000, 'w'),
      ['two-hosts'],
    ],
    [
      'an old host that sends long after a planned hand-over',
      () =>
        history()
          .receive(1, 0, 20_000)
          .receive(2, 5000, 9000)
          .also({ type: 'fault', fault: 'drain', overlaps: true, beganMs: 4000, endedMs: 6000 }),
      ['two-hosts'],
    ],
    [
      'an interrupted segment that continues',
      () => good().interrupt(2, 500),
      ['played-after-interrupt', 'played-after-interrupt'],
    ],
    [
      'a replaced segment that continues',
      () => history().speak(['a'], [1]).speak(['b'], [2], { interrupt: true, atMs: 1000 }).frames('a', [0, 99], 0),
      ['played-after-interrupt'],
    ],
    ['a session that plays after its end', () => good().end(1000), ['played-after-end']],
    ['a deleted segment that plays', () => good().delete('b', 1500), ['played-after-delete']],
    [
      'a deleted segment that comes back',
      () =>
        good()
          .delete('b', 8000)
          .also({ type: 'lookup', segment: 'b', atMs: 9000, status: 404 })
          .also({ type: 'lookup', segment: 'b', atMs: 9100, status: 200 }),
      ['deleted-back'],
    ],
    [
      'a session that does not play again',
      () => good().also({ type: 'calm', atMs: 9000, silent: [SESSION] }),
      ['silent'],
    ],
    [
      'a process that ended by itself',
      () => good().also({ type: 'crash', process: 'signaling-0', atMs: 1, log: 'uncaught' }),
      ['crash'],
    ],
    [
      'a fault that could not be mended',
      () => good().also({ type: 'fault', fault: 'x', overlaps: false, beganMs: 0, endedMs: 1, error: 'not ready' }),
      ['fault-failed'],
    ],
  ])('finds %s', (_, make, rules) => {
    expect(make().rules().sort()).toEqual([...rules].sort());
  });

  it('reports session, time and detail of a violation', () => {
    expect(good().delete('b', 1500).result().violations).toEqual([
      {
        rule: 'played-after-delete',
        session: SESSION,
        atMs: 4960,
        detail: 'b frames 0–49 at v was received until 3460 ms after its deletion',
      },
    ]);
  });
});
