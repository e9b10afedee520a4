import { describe, expect, it } from 'vitest';
import { EventLines } from './event-lines.js';

const STREAM =
  ': hello\n\nid: 1-0\nevent: x\ndata: {"a":1}\n\ndata: two\r\ndata:lines\r\n\r\nretry: 5\n\ndata: unfinished';

describe('an event stream', () => {
  it('is the same however it was cut into pieces', () => {
    for (let size = 1; size <= STREAM.length; size++) {
      const heard: string[] = [];
      const lines = new EventLines((data) => heard.push(data));
      for (let at = 0; at < STREAM.length; at += size) lines.push(STREAM.slice(at, at + size));
      expect(heard).toEqual(['{"a":1}', 'two\nlines']);
    }
  });
});
