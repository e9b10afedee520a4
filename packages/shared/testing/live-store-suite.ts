import { until } from '@humancast/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { LivePart } from '../src/media/live-part.js';
import type { LiveEntry, LiveReader, LiveWriter } from '../src/media/live-store.js';
import { newId } from '../src/new-id.js';

export interface LiveStoreHarness {
  readonly writer: LiveWriter;
  readonly reader: LiveReader;
  /** Advances time for TTLs. */
  passTime(seconds: number): Promise<void>;
  /** Interrupts the reader's connection, which reconnects by itself. */
  disconnectReader(): Promise<void>;
  close(): Promise<void>;
}

/** Conformance suite of live stores. */
export function liveStoreSuite(name: string, makeHarness: () => Promise<LiveStoreHarness>): void {
  describe(`${name} is a live store`, () => {
    let harness: LiveStoreHarness;
    const stops: (() => void)[] = [];
    beforeAll(async () => {
      harness = await makeHarness();
    });
    afterAll(() => harness.close());
    afterEach(() => {
      for (const stop of stops.splice(0)) stop();
    });

    function follow(segment: string): LiveEntry[] {
      const entries: LiveEntry[] = [];
      stops.push(harness.reader.follow(segment, (entry) => entries.push(entry)));
      return entries;
    }

    it('passes past and future parts to a follower, in order and once', async () => {
      const segment = newId('seg');
      await harness.writer.append(segment, [frame(0), frame(1)]);
      const entries = follow(segment);
      await until(() => entries.length === 2);
      await harness.writer.append(segment, [frame(2)]);
      await harness.writer.append(segment, [audio(0), frame(3)]);
      await until(() => entries.length === 5);
      expect(entries.map(({ part }) => part)).toEqual([frame(0), frame(1), frame(2), audio(0), frame(3)]);
    });

    it('passes everything to each of several followers, and keeps segments apart', async () => {
      const [one, other] = [newId('seg'), newId('seg')];
      const followers = [follow(one), follow(one), follow(other)];
      await harness.writer.append(one, [frame(0)]);
      await harness.writer.append(other, [audio(7)]);
      await until(() => followers.every((entries) => entries.length === 1));
      expect(followers.map(([entry]) => entry?.part)).toEqual([frame(0), frame(0), audio(7)]);
    });

    it('passes on more parts than one read returns', async () => {
      const segment = newId('seg');
      for (let i = 0; i < 10; i++) {
        await harness.writer.append(
          segment,
          Array.from({ length: 100 }, (_, k) => frame(100 * i + k)),
        );
      }
      const entries = follow(segment);
      await until(() => entries.length === 1000);
      expect(entries.every(({ part }, i) => part.kind === 'frame' && part.frame === i)).toBe(true);
    });

    it('stops on request', async () => {
      const segment = newId('seg');
      const stopped: LiveEntry[] = [];
      const stop = harness.reader.follow(segment, (entry) => stopped.push(entry));
      const entries = follow(segment);
      stop();
      await harness.writer.append(segment, [frame(0)]);
      await until(() => entries.length === 1);
      expect(stopped).toEqual([]);
    });

    it('misses nothing while its connection was lost', async () => {
      const segment = newId('seg');
      const entries = follow(segment);
      await harness.writer.append(segment, [frame(0)]);
      await until(() => entries.length === 1);
      await harness.disconnectReader();
      await harness.writer.append(segment, [frame(1)]);
      await until(() => entries.length === 2);
    });

    it('removes what lies before a position', async () => {
      const segment = newId('seg');
      await harness.writer.append(segment, [frame(0), frame(1)]);
      const place = await harness.writer.append(segment, [frame(2)]);
      await harness.writer.append(segment, [frame(3)]);
      await harness.writer.trim(segment, place);
      const entries = follow(segment);
      await until(() => entries.length === 2);
      expect(entries.map(({ part }) => part)).toEqual([frame(2), frame(3)]);
    });

    it('removes a segment that is not appended to, and one on request', async () => {
      const [kept, orphan] = [newId('seg'), newId('seg')];
      await harness.writer.append(orphan, [frame(0)]);
      await harness.passTime(3600);
      await harness.writer.append(kept, [frame(0)]);
      await harness.writer.expire(kept, 60);
      await harness.passTime(59);
      const entries = follow(kept);
      await until(() => entries.length === 1);
      await harness.passTime(2);
      const late = [follow(kept), follow(orphan)];
      await harness.writer.append(kept, [frame(9)]);
      await harness.writer.append(orphan, [frame(9)]);
      await until(() => late.every((list) => list.length === 1));
      expect(late.map(([entry]) => entry?.part)).toEqual([frame(9), frame(9)]);
    });
  });
}

function frame(number: number): LivePart {
  return {
    kind: 'frame',
    rendition: 0,
    frame: number,
    keyframe: number === 0,
    data: Buffer.from([0, 255, number & 255]),
  };
}

function audio(sample: number): LivePart {
  return { kind: 'audio', sample, pcm: Buffer.alloc(40, sample) };
}
