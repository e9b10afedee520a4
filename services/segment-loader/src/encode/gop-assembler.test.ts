import { unpackGop } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { GopAssembler } from './gop-assembler.js';

const frame = (index: number, keyframe: boolean) => ({ data: Buffer.from([index]), keyframe });

describe('GopAssembler', () => {
  it('packs full GOPs as they complete, and a shorter one at the end', () => {
    const assembler = new GopAssembler(3);
    const gops = Array.from({ length: 7 }, (_, i) => assembler.push(frame(i, i % 3 === 0)));
    expect(gops.map((gop) => gop !== undefined)).toEqual([false, false, true, false, false, true, false]);
    const last = assembler.end();
    expect(last && unpackGop(last)).toEqual([frame(6, true)]);
    expect(assembler).toMatchObject({ frameCount: 7, gopCount: 3 });
  });

  it('returns nothing more after whole GOPs', () => {
    const assembler = new GopAssembler(1);
    expect(assembler.push(frame(0, true))).toBeDefined();
    expect(assembler.end()).toBeUndefined();
  });

  it('rejects a GOP that does not start with a keyframe', () => {
    const assembler = new GopAssembler(2);
    assembler.push(frame(0, true));
    assembler.push(frame(1, false));
    expect(() => assembler.push(frame(2, false))).toThrow(/frame 2 must be a keyframe/);
  });
});
