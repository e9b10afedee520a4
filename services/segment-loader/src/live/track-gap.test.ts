import { describe, expect, it } from 'vitest';
import { type Track, TrackGapDetector } from './track-gap.js';

/** Advances in steps of 100 ms; the tracks in `coming` are received in each. */
function after(ms: number, coming: readonly Track[], detector = new TrackGapDetector(2000)): TrackGapDetector {
  for (let passed = 0; passed < ms; passed += 100) {
    detector.advance(100);
    for (const track of coming) detector.received(track);
  }
  return detector;
}

describe('TrackGapDetector', () => {
  it('reports nothing while both tracks arrive', () => {
    expect(after(60_000, ['video', 'audio']).missing).toBeUndefined();
  });

  it('reports the track that does not arrive with the other', () => {
    expect(after(2000, ['video']).missing).toBe('audio');
    expect(after(2000, ['audio']).missing).toBe('video');
  });

  it('waits for the configured time first', () => {
    expect(after(1900, ['video']).missing).toBeUndefined();
  });

  it('waits for video that is still being generated for audio sent ahead', () => {
    const detector = after(100, ['audio']);
    expect(after(60_000, [], detector).missing).toBeUndefined();
  });

  it.each(['video', 'audio'] as const)('reports nothing if the %s arrives first after a pause of both', (first) => {
    const detector = after(15_000, [], after(1000, ['video', 'audio']));
    expect(after(1900, [first], detector).missing).toBeUndefined();
    expect(after(200, [first], detector).missing).toBe(first === 'video' ? 'audio' : 'video');
  });

  it('stops when the track arrives again', () => {
    const detector = after(3000, ['video']);
    detector.received('audio');
    expect(detector.missing).toBeUndefined();
  });
});
