import type { Box, Composition, Fit, Layer, LayerKey, Layout } from '@humancast/protocol';
import type { Size } from '../encode/video-size.js';

/** A layer, completed by its layout. */
export interface PlacedLayer extends Omit<Layer, 'box' | 'fit' | 'key'> {
  readonly box: Box;
  readonly fit: Fit;
  readonly key: LayerKey | undefined;
}

interface Placing {
  readonly box: Box;
  readonly fit: Fit;
  readonly key?: LayerKey;
}

/** Side of an inset relative to the canvas in picture-in-picture, and its distance from the edge. */
const SMALL = 0.3;
const MARGIN = 0.03;

/** Places the layers. A layer's own settings take precedence over the layout; a layer with its own box occupies no cell. */
export function placeLayers({ layout, layers, width, height }: Composition): PlacedLayer[] {
  const canvas = { width, height };
  const toPlace = layers.filter(({ box }) => !box);
  return layers.map((layer) => {
    const place =
      layout && !layer.box ? PLACE[layout](toPlace.indexOf(layer), toPlace.length, canvas) : fullCanvas(canvas);
    const { box = place.box, fit = place.fit, key = place.key } = layer;
    return { ...layer, box, fit, key };
  });
}

const PLACE: Readonly<Record<Layout, (index: number, count: number, canvas: Size) => Placing>> = {
  'side-by-side': (index, count, canvas) => ({ box: cell(index, 0, count, 1, canvas), fit: 'contain' }),
  grid: gridCell,
  'picture-in-picture': (index, _, canvas) => (index === 0 ? fullCanvas(canvas) : small(index - 1, canvas)),
  'over-background': (index, _, canvas) =>
    index === 0 ? { ...fullCanvas(canvas), fit: 'cover' } : { ...fullCanvas(canvas), key: 'alpha' },
};

function fullCanvas({ width, height }: Size): Placing {
  return { box: { x: 0, y: 0, width, height }, fit: 'contain' };
}

/** @returns A cell of a grid as nearly square as possible, with an incomplete last row centered. */
function gridCell(index: number, count: number, canvas: Size): Placing {
  const columns = Math.ceil(Math.sqrt(count));
  const rows = Math.ceil(count / columns);
  const row = Math.floor(index / columns);
  const inRow = row === rows - 1 ? count - row * columns : columns;
  const column = (index % columns) + (columns - inRow) / 2;
  return { box: cell(column, row, columns, rows, canvas), fit: 'contain' };
}

/** Places insets from the lower right corner to the left as far as there is room, then in the row above. */
function small(index: number, canvas: Size): Placing {
  const margin = even(MARGIN * Math.min(canvas.width, canvas.height));
  const [width, height] = [even(SMALL * canvas.width), even(SMALL * canvas.height)];
  const inRow = Math.max(1, Math.floor((canvas.width - margin) / (width + margin)));
  const rows = Math.max(1, Math.floor((canvas.height - margin) / (height + margin)));
  const column = index % inRow;
  const row = Math.floor(index / inRow) % rows;
  const x = canvas.width - (column + 1) * (width + margin);
  const y = canvas.height - (row + 1) * (height + margin);
  return { box: { x, y, width, height }, fit: 'contain' };
}

/**
 * @returns One of `columns` × `rows` equal cells; `column` may be fractional. Edges are even, so that cells share no color
 * sample.
 */
function cell(column: number, row: number, columns: number, rows: number, { width, height }: Size): Box {
  const [left, right] = [even((column * width) / columns), even(((column + 1) * width) / columns)];
  const [top, bottom] = [even((row * height) / rows), even(((row + 1) * height) / rows)];
  return { x: left, y: top, width: right - left, height: bottom - top };
}

function even(length: number): number {
  return 2 * Math.round(length / 2);
}
