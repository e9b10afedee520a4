import { describe, expect, it } from 'vitest';
import { tokenOf } from '../test/fake-backend.js';
import { isOver, mayControl, OwnSessions, visitOf } from './visit.js';

describe('visitOf()', () => {
  it('reads an avatar, a session, or neither from the address', () => {
    expect(visitOf('')).toEqual({ kind: 'choose' });
    expect(visitOf('?avatar=demo')).toEqual({ kind: 'avatar', avatar: 'demo' });
    expect(visitOf('?session=ses_1&token=t')).toEqual({ kind: 'session', credentials: { id: 'ses_1', token: 't' } });
  });

  it('ignores a session without a token, and a token without a session', () => {
    expect(visitOf('?session=ses_1')).toEqual({ kind: 'choose' });
    expect(visitOf('?token=t&avatar=demo')).toEqual({ kind: 'avatar', avatar: 'demo' });
  });
});

describe('OwnSessions', () => {
  const storage = (entries = new Map<string, string>()) => ({
    getItem: (key: string) => entries.get(key) ?? null,
    setItem: (key: string, value: string) => void entries.set(key, value),
    removeItem: (key: string) => void entries.delete(key),
  });

  it('keeps a session per avatar until it is forgotten', () => {
    const own = new OwnSessions(storage());
    own.keep('demo', { id: 'ses_1', token: 't' });
    expect(own.get('demo')).toEqual({ id: 'ses_1', token: 't' });
    expect(own.get('other')).toBeUndefined();
    own.forget('demo');
    expect(own.get('demo')).toBeUndefined();
  });

  it('returns undefined if the stored value is damaged or storage is disabled', () => {
    for (const damaged of ['{', 'null', '7', '{"id":1,"token":"t"}']) {
      expect(new OwnSessions(storage(new Map([['humancast.session.demo', damaged]]))).get('demo')).toBeUndefined();
    }
    const closed = () => {
      throw new DOMException('denied', 'SecurityError');
    };
    const own = new OwnSessions({ getItem: closed, setItem: closed, removeItem: closed });
    own.keep('demo', { id: 'ses_1', token: 't' });
    own.forget('demo');
    expect(own.get('demo')).toBeUndefined();
  });

  it('isOver() is true for errors of an ended session, and false for network errors', () => {
    expect(['session_ended', 'session_not_found', 'token_expired'].every(isOver)).toBe(true);
    expect(['unreachable', 'no_media', 'viewer_limit'].some(isOver)).toBe(false);
  });
});

it('mayControl() is false for a token with the scope `view` only', () => {
  expect(mayControl(tokenOf('view'))).toBe(false);
  expect(mayControl(tokenOf('control'))).toBe(true);
  expect(mayControl('of a later version')).toBe(true);
});
