import type { RenditionConfig } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import { missingRendition, splitLadder } from './ladder.js';

const rung = (
  id: string,
  maxWidth: number,
  maxHeight: number,
  kbps: number,
  codec: RenditionConfig['codec'] = 'vp8',
): RenditionConfig => ({ id, codec, maxWidth, maxHeight, bitrateBps: 1000 * kbps });

const split = (...renditions: RenditionConfig[]) => {
  const { first, later } = splitLadder(renditions);
  return { first: first.map(({ id }) => id), later: later.map(({ id }) => id) };
};

describe('splitLadder()', () => {
  const [l, m, s] = [rung('l', 1280, 720, 1500), rung('m', 640, 360, 500), rung('s', 320, 180, 150)];

  it('puts the rendition with the largest bitrate of each codec first, in any order', () => {
    expect(split(l, m, s)).toEqual({ first: ['l'], later: ['m', 's'] });
    expect(split(s, l, m)).toEqual({ first: ['l'], later: ['s', 'm'] });
    expect(split(m, rung('h', 640, 360, 400, 'h264'), l)).toEqual({ first: ['h', 'l'], later: ['m'] });
    expect(split(l)).toEqual({ first: ['l'], later: [] });
  });

  it('makes no rendition from a smaller one, turned or not', () => {
    expect(split(l, rung('larger', 1920, 1080, 900), s)).toEqual({ first: ['l', 'larger'], later: ['s'] });
    expect(split(l, rung('turned', 360, 640, 500))).toEqual({ first: ['l'], later: ['turned'] });
    expect(split(l, rung('square', 800, 800, 500))).toEqual({ first: ['l', 'square'], later: [] });
  });

  it('keeps one of two renditions with the same bitrate first', () => {
    expect(split(l, { ...l, id: 'same' })).toEqual({ first: ['l'], later: ['same'] });
  });
});

it('missingRendition() keeps the proportions of the first one, and rejects what would be too small', () => {
  const small = rung('s', 320, 180, 150);
  expect(missingRendition(small, { width: 720, height: 1280 })).toMatchObject({ width: 180, height: 320 });
  expect(missingRendition(small, { alpha: 'stack', width: 1280, height: 1440 })).toMatchObject({
    alpha: 'stack',
    width: 320,
    height: 360,
  });
  expect(() => missingRendition(small, { width: 1280, height: 40 })).toThrow(/each side must be at least 16/);
});
