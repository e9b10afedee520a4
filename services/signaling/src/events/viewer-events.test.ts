import type { SessionEvent } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import { ViewerEvents } from './viewer-events.js';

/** ViewerEvents on a feed whose events the test supplies. */
function start() {
  const readers = new Map<string, { afterId: string; onEvent: (event: SessionEvent) => void }>();
  const events = new ViewerEvents({
    follow: (session, afterId, onEvent) => {
      readers.set(session, { afterId, onEvent });
      return () => readers.delete(session);
    },
  });
  const say = (id: string, event: object) => readers.get('ses_a')?.onEvent({ id, ...event } as SessionEvent);
  const follow = (viewer: string, afterId: string) => {
    const ids: string[] = [];
    const stop = events.follow({ session: 'ses_a', viewer }, afterId, ({ id }) => ids.push(id));
    return { ids, stop };
  };
  return { readers, say, follow };
}

describe('ViewerEvents', () => {
  it('reads a session once, and only while a viewer follows it', () => {
    const { readers, follow } = start();
    const viewers = [follow('vw_a', '1-0'), follow('vw_b', '2-0')];
    expect([...readers].map(([session, { afterId }]) => [session, afterId])).toEqual([['ses_a', '1-0']]);
    for (const { stop } of viewers) stop();
    expect(readers.size).toBe(0);
  });

  it('delivers events of the session to every viewer, and events about a viewer only to that one', () => {
    const { say, follow } = start();
    const [a, b] = [follow('vw_a', '0-0'), follow('vw_b', '0-0')];
    say('1-0', { type: 'speech.started' });
    say('2-0', { type: 'viewer.connected', viewer: 'vw_b' });
    say('3-0', { type: 'viewer.connected', viewer: 'vw_c' });
    expect([a.ids, b.ids]).toEqual([['1-0'], ['1-0', '2-0']]);
  });

  it('delivers to each viewer what came after it had joined, even if that was read before', () => {
    const { say, follow } = start();
    follow('vw_a', '0-0');
    say('1-0', { type: 'speech.started' });
    say('2-0', { type: 'speech.finished' });
    const late = follow('vw_b', '1-0');
    const ahead = follow('vw_c', '3-0');
    say('3-0', { type: 'speech.started' });
    say('4-0', { type: 'speech.finished' });
    expect([late.ids, ahead.ids]).toEqual([['2-0', '3-0', '4-0'], ['4-0']]);
  });

  it('delivers to the latest connection of a viewer', () => {
    const { say, follow } = start();
    const before = follow('vw_a', '0-0');
    const after = follow('vw_a', '0-0');
    before.stop();
    say('1-0', { type: 'speech.started' });
    expect([before.ids, after.ids]).toEqual([[], ['1-0']]);
  });
});
