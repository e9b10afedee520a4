import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventStreamParser } from './event-stream-parser.js';

const STREAM =
  ': hello\n\nretry: 2000\n\nid: 1-0\nevent: a\ndata: {"a":\ndata: 1}\n\nid:2-0\r\ndata:x\r\n\r\ndata\n\nid: 3-0\n\n';

describe('EventStreamParser', () => {
  it('returns the same events wherever the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(STREAM.length)), (cuts) => {
        const parser = new EventStreamParser();
        const edges = [0, ...cuts.toSorted((a, b) => a - b), STREAM.length];
        const events = edges.flatMap((edge, i) => parser.push(STREAM.slice(edges[i - 1] ?? 0, edge)));
        expect(events).toEqual([
          { id: '1-0', data: '{"a":\n1}' },
          { id: '2-0', data: 'x' },
        ]);
        expect(parser.retryMs).toBe(2000);
      }),
    );
  });

  it('throws for a line that never ends', () => {
    const parser = new EventStreamParser();
    expect(() => {
      for (let i = 0; i < 20; i++) parser.push('x'.repeat(100_000));
    }).toThrow(RangeError);
  });
});
