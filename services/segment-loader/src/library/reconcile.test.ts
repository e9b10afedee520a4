import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mediaFile } from '../../testing/media-file.js';
import { type DesiredSegment, reconcile, type StoredSegment } from './reconcile.js';

const desired = (id: string, name: string, role: 'idle' | 'speech' = 'idle', settled = true): DesiredSegment => ({
  id,
  file: mediaFile({ name, role }),
  settled,
});
const stored = (id: string, name: string, role: 'idle' | 'speech' = 'idle', complete = true): StoredSegment => ({
  id,
  role,
  name,
  complete,
});

describe('reconcile()', () => {
  it('loads missing segments and unloads those without a file', () => {
    const result = reconcile([desired('a1', 'a')], [stored('b1', 'b')]);
    expect(result).toEqual({ load: [desired('a1', 'a')], unload: ['b1'], idle: [], states: {} });
  });

  it('does nothing if the store matches the folder', () => {
    const result = reconcile(
      [desired('a1', 'a'), desired('s1', 's', 'speech')],
      [stored('a1', 'a'), stored('s1', 's', 'speech')],
    );
    expect(result).toEqual({ load: [], unload: [], idle: ['a1'], states: {} });
  });

  it('plays idle clips in playlist order, each once, and no others', () => {
    const files = [desired('a1', 'a'), desired('b1', 'b'), desired('c1', 'c')];
    const before = [stored('a1', 'a'), stored('b1', 'b'), stored('c1', 'c')];
    expect(reconcile(files, before, ['c', 'a', 'gone', 'c']).idle).toEqual(['c1', 'a1']);
  });

  it('keeps the clips of named states apart, each in the order of its own playlist', () => {
    const names = ['a', 'thinking/a', 'thinking/b', 'listening/a'];
    const files = names.map((name, i) => desired(`s${i}`, name));
    const before = names.map((name, i) => stored(`s${i}`, name));
    const playlistOf = (state: string) => (state === 'thinking' ? ['thinking/b', 'thinking/a'] : undefined);
    const { idle, states, load, unload } = reconcile(files, before, ['a'], playlistOf);
    expect({ idle, load, unload }).toEqual({ idle: ['s0'], load: [], unload: [] });
    expect(states).toEqual({ thinking: ['s2', 's1'], listening: ['s3'] });
  });

  it('plays by name if no file of the playlist exists', () => {
    const files = [desired('b1', 'b'), desired('a1', 'a')];
    expect(reconcile(files, [stored('a1', 'a'), stored('b1', 'b')], ['x']).idle).toEqual(['a1', 'b1']);
  });

  it('keeps the former segment of a changed file until the new one is complete', () => {
    const files = [desired('a1', 'a'), desired('b2', 'b'), desired('c1', 'c')];
    const before = [stored('a1', 'a'), stored('b1', 'b'), stored('c1', 'c')];
    expect(reconcile(files, before)).toMatchObject({ unload: [], idle: ['a1', 'b1', 'c1'] });
    expect(reconcile(files, [...before, stored('b2', 'b', 'idle', false)])).toMatchObject({
      unload: [],
      idle: ['a1', 'b1', 'c1'],
    });
    expect(reconcile(files, [...before, stored('b2', 'b')])).toEqual({
      load: [],
      unload: ['b1'],
      idle: ['a1', 'b2', 'c1'],
      states: {},
    });
  });

  it('keeps the former segment while its file is being overwritten, and does not load half of it', () => {
    expect(reconcile([desired('a2', 'a', 'idle', false)], [stored('a1', 'a')])).toEqual({
      load: [],
      unload: [],
      idle: ['a1'],
      states: {},
    });
  });

  it('does not confuse files of the same name in different folders', () => {
    expect(reconcile([desired('s1', 'a', 'speech')], [stored('a1', 'a')])).toMatchObject({ unload: ['a1'], idle: [] });
  });

  it('reloads a segment that lost parts, and keeps it out of the playlist until then', () => {
    const result = reconcile([desired('a1', 'a')], [stored('a1', 'a', 'idle', false)]);
    expect(result).toEqual({ load: [desired('a1', 'a')], unload: [], idle: [], states: {} });
  });

  it('sorts the playlist by name, with numbers as numbers', () => {
    const names = ['clip 10', 'clip 2', 'Clip 1', 'ä', 'b'];
    const result = reconcile(
      names.map((name) => desired(name, name)),
      names.map((name) => stored(name, name)),
    );
    expect(result.idle).toEqual(['ä', 'b', 'Clip 1', 'clip 2', 'clip 10']);
  });

  it("reaches the folder's state from any state in one step, and never unloads what it plays", () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const role = fc.constantFrom('idle' as const, 'speech' as const);
    const version = fc.integer({ min: 1, max: 3 });
    const files = fc.uniqueArray(fc.record({ name, role, version, settled: fc.boolean() }), {
      selector: (file) => `${file.role}/${file.name}`,
    });
    const segments = fc.uniqueArray(fc.record({ name, role, version, complete: fc.boolean() }), {
      selector: (segment) => `${segment.role}/${segment.name}/${segment.version}`,
    });
    const idOf = (item: { role: string; name: string; version: number }) => `${item.role}/${item.name}/${item.version}`;
    fc.assert(
      fc.property(files, segments, (folder, store) => {
        const want = folder.map((file) => desired(idOf(file), file.name, file.role, file.settled));
        const have = store.map((segment) => stored(idOf(segment), segment.name, segment.role, segment.complete));
        const first = reconcile(want, have);
        expect(first.idle.filter((id) => first.unload.includes(id))).toEqual([]);
        expect(first.idle.every((id) => have.some((segment) => segment.id === id && segment.complete))).toBe(true);

        const settled = want.map((item) => ({ ...item, settled: true }));
        const loaded = have
          .filter(({ id }) => !first.unload.includes(id) && !want.some((item) => item.id === id))
          .concat(settled.map(({ id, file }) => stored(id, file.name, file.role)));
        const second = reconcile(settled, loaded);
        expect(second.load).toEqual([]);
        expect([...second.idle].sort()).toEqual(
          want
            .filter(({ file }) => file.role === 'idle')
            .map(({ id }) => id)
            .sort(),
        );
        const rest = loaded.filter(({ id }) => !second.unload.includes(id));
        expect(rest.map(({ id }) => id).sort()).toEqual(want.map(({ id }) => id).sort());
      }),
    );
  });
});
