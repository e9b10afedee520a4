import { describe, expect, it } from 'vitest';
import { Absence, type Track } from './absence.js';

/** Lets 100 ms pass so often; what comes, comes each time. */
function after(ms: number, coming: readonly Track[], absence = new Absence(2000)): Absence {
  for (let passed = 0; passed < ms; passed += 100) {
    absence.pass(100);
    for (const track of coming) absence.came(track);
  }
  return absence;
}

describe('Absence', () => {
  it('misses nothing while both come', () => {
    expect(after(60_000, ['picture', 'sound']).track).toBeUndefined();
  });

  it('misses the sound, or the picture, when only the other comes', () => {
    expect(after(2000, ['picture']).track).toBe('sound');
    expect(after(2000, ['sound']).track).toBe('picture');
  });

  it('waits before it does', () => {
    expect(after(1900, ['picture']).track).toBeUndefined();
  });

  it('waits for a picture that is still being made of sound that was sent ahead', () => {
    const absence = after(100, ['sound']);
    expect(after(60_000, [], absence).track).toBeUndefined();
  });

  it.each(['picture', 'sound'] as const)('misses nothing when the %s comes first after a pause of both', (first) => {
    const absence = after(15_000, [], after(1000, ['picture', 'sound']));
    expect(after(1900, [first], absence).track).toBeUndefined();
    expect(after(200, [first], absence).track).toBe(first === 'picture' ? 'sound' : 'picture');
  });

  it('stops when the track comes again', () => {
    const absence = after(3000, ['picture']);
    absence.came('sound');
    expect(absence.track).toBeUndefined();
  });
});
