import type { QueuedSegment } from '@humancast/protocol';
import { createLogger, NO_TRACER, type SegmentManifest } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { SpeechQueue } from './speech-queue.js';
import { SpeechTraces } from './speech-traces.js';

describe('SpeechQueue', () => {
  it.each(['missing', 'failed'] as const)(
    'drops a segment that is interrupted while its manifest is read, even if its media is %s',
    async (state) => {
      const queued: QueuedSegment = { seq: 1, segment: 'seg_1' };
      const skipped: [number, string][] = [];
      const logger = createLogger('test', 'silent');
      const queue: SpeechQueue = new SpeechQueue({
        session: 'ses_1',
        interruptedSeq: 0,
        registry: { playQueue: async () => ({ queue: [queued], interruptedSeq: 0, idleState: 'idle' }) },
        store: {
          getManifest: async () => {
            queue.interrupt(1);
            return state === 'missing' ? undefined : ({ state } as SegmentManifest);
          },
        },
        player: { drop: () => {}, enqueue: () => {}, interrupt: () => {} },
        traces: new SpeechTraces(NO_TRACER, { session: 'ses_1', epoch: 1, sender: 'snd_1', startSamples: 0 }),
        openClip: () => {
          throw new Error('there is no media');
        },
        onSkipped: ({ seq }, reason) => skipped.push([seq, reason]),
        onInterrupted: () => {},
        onState: () => {},
        onError: (error) => {
          throw error;
        },
        nowMs: () => 0,
        missingMediaMs: 3000,
        signal: new AbortController().signal,
        logger,
      });
      await queue.sync();
      expect(skipped).toEqual([[1, 'dropped']]);
    },
  );
});
