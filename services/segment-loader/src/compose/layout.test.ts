import { compositionSchema, type Layout } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import { placeLayers } from './layout.js';

const SIZE = { width: 1280, height: 720 };

const boxes = (layout: Layout, count: number) => {
  const layers = Array.from({ length: count }, (_, i) => ({ input: `in${i}` }));
  return placeLayers(compositionSchema.parse({ ...SIZE, layout, layers })).map(({ box }) => box);
};

describe('placeLayers()', () => {
  it('places layers side by side over the whole width', () => {
    expect(boxes('side-by-side', 3).map(({ x, width, height }) => [x, width, height])).toEqual([
      [0, 426, 720],
      [426, 428, 720],
      [854, 426, 720],
    ]);
  });

  it('places no layer that has a box of its own', () => {
    const box = { x: 1000, y: 40, width: 240, height: 120 };
    const layers = [{ input: 'host' }, { input: 'logo', box }, { input: 'guest' }];
    const placed = placeLayers(compositionSchema.parse({ ...SIZE, layout: 'side-by-side', layers }));
    expect(placed.map(({ box: { x, width } }) => [x, width])).toEqual([
      [0, 640],
      [1000, 240],
      [640, 640],
    ]);
  });

  it('makes a nearly square grid, and centers an incomplete last row', () => {
    expect(boxes('grid', 4).map(({ x, y }) => [x, y])).toEqual([
      [0, 0],
      [640, 0],
      [0, 360],
      [640, 360],
    ]);
    expect(boxes('grid', 3)[2]).toEqual({ x: 320, y: 360, width: 640, height: 360 });
  });

  it('keeps all boxes even, inside the canvas and disjoint, for any number of layers', () => {
    for (const layout of ['side-by-side', 'grid'] as const) {
      for (let count = 1; count <= 16; count++) {
        const placed = boxes(layout, count);
        for (const { x, y, width, height } of placed) {
          expect([x, y, width, height].every((length) => length >= 0 && length % 2 === 0)).toBe(true);
          expect(x + width).toBeLessThanOrEqual(SIZE.width);
          expect(y + height).toBeLessThanOrEqual(SIZE.height);
        }
        const overlaps = placed.flatMap((a, i) =>
          placed
            .slice(i + 1)
            .filter((b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height),
        );
        expect(overlaps).toEqual([]);
      }
    }
  });

  it('places small layers in the lower right corner, side by side', () => {
    const [main, first, second] = boxes('picture-in-picture', 3);
    expect(main).toEqual({ x: 0, y: 0, ...SIZE });
    expect(first).toEqual({ x: 874, y: 482, width: 384, height: 216 });
    expect(second).toEqual({ x: 468, y: 482, width: 384, height: 216 });
  });

  it('fills the canvas with the background and keys the layers above, unless a layer overrides that', () => {
    const key = { color: '#00ff00', similarity: 0.25, blend: 0.05 };
    const layers = [{ input: 'studio' }, { input: 'face' }, { input: 'logo', fit: 'stretch', key }];
    const placed = placeLayers(compositionSchema.parse({ ...SIZE, layout: 'over-background', layers }));
    expect(placed.map((layer) => [layer.fit, layer.key])).toEqual([
      ['cover', undefined],
      ['contain', 'alpha'],
      ['stretch', key],
    ]);
  });
});
