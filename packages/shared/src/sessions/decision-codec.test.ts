import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DecisionDecoder, DecisionEncoder, type Decisions } from './decision-codec.js';

/** Two steps of 20 ms. */
const ENTRY_SAMPLES = 1920;
const ENTRIES_PER_SECOND = 25;

const segment = fc.constantFrom('seg_idle0000', 'seg_speech01', 'seg_speech02', 'seg_speech03');
/** Fractional, too, as with 29.97 frames a second. */
const position = fc.nat({ max: 10_000_000 }).map((frame) => (frame * 48_048) / 30_000);
const seldom = {
  anchorMs: fc.double({ min: 1, max: 2 ** 42, noNaN: true }),
  next: fc.array(fc.record({ segment, seq: fc.nat(), positionSamples: position }), { maxLength: 3 }),
  segment,
};
const often = fc.record({
  first: fc.nat(),
  count: fc.integer({ min: 1, max: 64 }),
  runs: fc.nat({ max: 3 }),
  position: fc.option(position),
  opus: fc.array(
    fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    { maxLength: 2 },
  ),
});
const change = fc.oneof(
  { weight: 30, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.record(seldom, { requiredKeys: [] }) },
);
/** A host's decisions. */
const decided = fc
  .tuple(fc.record(seldom), fc.array(fc.tuple(change, often), { minLength: 1, maxLength: 120, size: 'max' }))
  .map(([initial, drafts]) => {
    let known = initial;
    return drafts.map(([changed, { first, count, runs, position, opus }], i): Decisions => {
      known = { ...known, ...changed };
      const { anchorMs, next, segment } = known;
      const run = { entry: i, segment, startSamples: 1601.6 * i, first, count };
      const after = position === null ? undefined : { segment, seq: i, positionSamples: position };
      const frames = Array.from({ length: runs }, () => run);
      return { epoch: 1, anchorMs, audioSamples: ENTRY_SAMPLES * i, frames, next, opus, ...(after && { after }) };
    });
  });

const encodeAll = (all: readonly Decisions[]) => {
  const encoder = new DecisionEncoder();
  return all.map((decisions) => encoder.encode(decisions));
};
const decodeAll = (entries: readonly (string | Buffer)[][]) => {
  const decoder = new DecisionDecoder('s');
  return entries.map((fields) => decoder.decode(fields.map((value) => Buffer.from(value))));
};

describe('DecisionEncoder and DecisionDecoder', () => {
  it('return exactly what was decided, from each entry on after less than a second', () => {
    fc.assert(
      fc.property(decided, fc.nat(), (all, n) => {
        const kept = n % all.length;
        const decoded = decodeAll(encodeAll(all).slice(kept));
        const first = decoded.findIndex((decisions) => decisions !== undefined);
        const skipped = first === -1 ? decoded.length : first;
        expect(skipped).toBeLessThan(ENTRIES_PER_SECOND);
        expect(decoded.slice(skipped)).toEqual(all.slice(kept + skipped));
      }),
    );
  });

  it('return nothing else when entries are lost, and everything again after refresh()', () => {
    const size = fc.integer({ min: 1, max: 50 });
    fc.assert(
      fc.property(decided, fc.nat(), size, size, (all, n, lost, unnoticed) => {
        const from = n % all.length;
        const encoder = new DecisionEncoder();
        const entries = all.map((decisions, i) => {
          if (i === from + lost + unnoticed) encoder.refresh();
          return encoder.encode(decisions);
        });
        const decoded = decodeAll(entries.toSpliced(from, lost));
        const left = all.toSpliced(from, lost);
        for (const [i, decisions] of decoded.entries()) expect([undefined, left[i]]).toContainEqual(decisions);
        expect(decoded.slice(0, from)).toEqual(left.slice(0, from));
        expect(decoded.slice(from + unnoticed)).toEqual(left.slice(from + unnoticed));
      }),
    );
  });

  it('do not take a key entry of the previous host for that of the next one', () => {
    fc.assert(
      fc.property(decided, decided, fc.boolean(), (before, after, isLost) => {
        const next = after.map((decisions) => ({ ...decisions, epoch: 2 }));
        const entries = encodeAll(next).slice(isLost ? 1 : 0);
        const decoded = decodeAll([...encodeAll(before), ...entries]).slice(before.length);
        const expected = next.slice(isLost ? 1 : 0);
        for (const [i, decisions] of decoded.entries()) expect([undefined, expected[i]]).toContainEqual(decisions);
        if (!isLost) expect(decoded).toEqual(expected);
      }),
    );
  });

  it('tell segments and what comes next once a second, and when they change', () => {
    const at = (i: number, name: string): Decisions => ({
      epoch: 1,
      anchorMs: 1,
      audioSamples: ENTRY_SAMPLES * i,
      frames: [{ entry: 1, segment: name, startSamples: 0, first: i, count: 1 }],
      next: [{ segment: 'seg_idle0000', seq: 0, positionSamples: 0 }],
      after: { segment: name, seq: 1, positionSamples: ENTRY_SAMPLES * (i + 1) },
      opus: [],
    });
    const entries = Array.from({ length: 60 }, (_, i) => at(i, i < 40 ? 'seg_speech01' : 'seg_speech02'));
    const isKey = encodeAll(entries).map(([, json]) => String(json).includes('seg_'));
    expect(isKey.flatMap((is, i) => (is ? [i] : []))).toEqual([0, 25, 40]);
  });

  it('skip an entry that another version wrote, or that is damaged', () => {
    const good = new DecisionEncoder().encode({
      epoch: 1,
      anchorMs: 1,
      audioSamples: 0,
      frames: [],
      next: [],
      opus: [],
    });
    for (const json of [
      '{"v":2}',
      '{"e":1',
      '{"e":1,"p":0,"k":0,"f":[[1,0,0,0,65]]}',
      '{"e":1,"p":960,"k":0,"f":[]}',
    ]) {
      expect(decodeAll([['d', json], good]).map((decisions) => decisions?.epoch)).toEqual([undefined, 1]);
    }
  });
});
