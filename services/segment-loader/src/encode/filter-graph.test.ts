import { expect, it } from 'vitest';
import { videoTrack } from '../../testing/tracks.js';
import { renditionChains } from './filter-graph.js';

const rendition = (codec: 'vp8' | 'h264', width: number, height: number) => {
  return { id: `${codec}-${height}`, codec, maxWidth: width, maxHeight: height, width, height, bitrateBps: 500_000 };
};

it('renditionChains() scales each rendition from the next larger one of its codec, in any order', () => {
  const renditions = [
    rendition('vp8', 320, 180),
    rendition('vp8', 1280, 720),
    rendition('h264', 640, 360),
    rendition('vp8', 640, 360),
  ];
  const [split, ...chains] = renditionChains('[whole]', videoTrack({ width: 1280, height: 720 }), renditions);
  expect(split).toBe('[whole]split=2[s1][s2]');
  expect(chains[0]).toBe('[s0]scale=w=320:h=180,setsar=1[v0]');
  expect(chains[1]).toMatch(/^\[s1\]scale=w=1280:h=720:.*,split=2\[v1\]\[s3\]$/);
  expect(chains[2]).toMatch(/^\[s2\]scale=w=640:h=360:in_color_matrix=.*\[v2\]$/);
  expect(chains[3]).toBe('[s3]scale=w=640:h=360,setsar=1,split=2[v3][s0]');
});

it('renditionChains() converts renditions of equal size from the source', () => {
  const [split] = renditionChains('[whole]', videoTrack(), [rendition('vp8', 320, 180), rendition('vp8', 320, 180)]);
  expect(split).toBe('[whole]split=2[s0][s1]');
});
