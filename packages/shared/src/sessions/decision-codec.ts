import { isDeepStrictEqual } from 'node:util';
import { idSchema } from '@humancast/protocol';
import { z } from 'zod';
import { CLOCK_RATE } from '../media/manifest.js';
import { readRecord } from '../records/read-record.js';

/** Longest time from one key entry to the next, media-clock samples: a quarter of what is kept. */
const KEY_INTERVAL_SAMPLES = CLOCK_RATE;
const STEPS_LIMIT = 16;
const FRAMES_LIMIT = 64;

/** Consecutive frames of a clip. */
interface FrameRun {
  /** Increments each time a clip is entered, also if it is the same segment again. */
  entry: number;
  segment: string;
  /** Timeline position of the clip's start, media-clock samples. */
  startSamples: number;
  first: number;
  count: number;
}

/** A position in a clip; `seq` is 0 for idle. */
const placeSchema = z.object({ segment: idSchema, seq: z.int().min(0), positionSamples: z.number().min(0) });

/** A session host's playout decisions: consecutive steps of 20 ms, one audio packet each. */
export interface Decisions {
  readonly epoch: number;
  /** Instant at which the timeline's position is zero, ms since the Unix epoch by the clock of Redis. */
  readonly anchorMs: number;
  /** Timeline position of the first audio packet, media-clock samples. */
  readonly audioSamples: number;
  readonly frames: readonly FrameRun[];
  /** The position at which another host would continue after these steps. Absent before the first idle clip. */
  readonly after?: z.infer<typeof placeSchema> | undefined;
  /** Entries that will be played soon, for prefetching. */
  readonly next: readonly z.infer<typeof placeSchema>[];
  readonly opus: readonly Buffer[];
}

/** What seldom changes, and is told once for all entries that refer to it. */
const keySchema = z.object({
  anchorMs: z.number(),
  next: z.array(placeSchema).max(STEPS_LIMIT),
  /** Segments that are played. */
  segments: z.array(idSchema).max(FRAMES_LIMIT + 1),
});

const indexSchema = z.int().min(0).max(FRAMES_LIMIT);

/**
 * An entry's JSON. Its names are short, because Redis has a hundred entries of each session in memory. Later versions may append
 * to the tuples.
 */
const entrySchema = z.object({
  /** Epoch. */
  e: z.int().min(1),
  /** `audioSamples` of the decisions. */
  p: z.int().min(0),
  /** Samples from the key entry that this one refers to; 0 for a key entry. */
  k: z.int().min(0),
  key: keySchema.optional(),
  /** Runs of frames: entry, index in the key's segments, `startSamples`, first, count. */
  f: z
    .array(
      z.tuple([z.int().min(0), indexSchema, z.number(), z.int().min(0), z.int().min(1).max(FRAMES_LIMIT)], z.unknown()),
    )
    .max(FRAMES_LIMIT),
  /** Where another host would continue: index in the key's segments, `seq`, `positionSamples`. */
  a: z.tuple([indexSchema, z.int().min(0), z.number().min(0)], z.unknown()).optional(),
});

/** A key entry that others refer to. */
interface Key {
  readonly epoch: number;
  readonly audioSamples: number;
  readonly content: z.infer<typeof keySchema>;
}

/**
 * Writes a host's decisions as entries of a Redis stream. As with keyframes, a reader begins at a key entry, and the others
 * refer to the last one. There is one each second, and whenever its content changes.
 */
export class DecisionEncoder {
  #key: Key | undefined;

  /** @returns Names and values of a stream entry. */
  encode(decisions: Decisions): (string | Buffer)[] {
    const { epoch, audioSamples, frames, after, opus } = decisions;
    const key = this.#keyOf(decisions);
    const isNew = key !== this.#key;
    this.#key = key;
    const index = (segment: string) => key.content.segments.indexOf(segment);
    const entry: z.infer<typeof entrySchema> = {
      e: epoch,
      p: audioSamples,
      k: audioSamples - key.audioSamples,
      ...(isNew && { key: key.content }),
      f: frames.map((run) => [run.entry, index(run.segment), run.startSamples, run.first, run.count]),
      ...(after && { a: [index(after.segment), after.seq, after.positionSamples] }),
    };
    return ['d', JSON.stringify(entry), ...opus.flatMap((packet) => ['o', packet])];
  }

  /** Makes the next entry a key entry, because the last one may be lost. */
  refresh(): void {
    this.#key = undefined;
  }

  /** @returns The last key, unless it is old or something in it has changed. */
  #keyOf({ epoch, anchorMs, audioSamples, frames, after, next }: Decisions): Key {
    const segments = [...new Set([...frames, ...(after ? [after] : [])].map(({ segment }) => segment))];
    const key = this.#key;
    const isValid =
      key?.epoch === epoch &&
      audioSamples - key.audioSamples < KEY_INTERVAL_SAMPLES &&
      key.content.anchorMs === anchorMs &&
      isDeepStrictEqual(key.content.next, next) &&
      segments.every((segment) => key.content.segments.includes(segment));
    return isValid ? key : { epoch, audioSamples, content: { anchorMs, next: [...next], segments } };
  }
}

/** Reads the entries of a session's decisions, in order, from any one on. */
export class DecisionDecoder {
  readonly #session: string;
  #key: Key | undefined;

  constructor(session: string) {
    this.#session = session;
  }

  /**
   * @param fields Names and values of a stream entry.
   * @returns `undefined` if another version wrote it, or if the key entry that it refers to has not been read.
   */
  decode(fields: readonly Buffer[]): Decisions | undefined {
    const read = readRecord('decisions', this.#session, entrySchema, fields[1]?.toString());
    if (!read) return undefined;
    const { e: epoch, p: audioSamples, k: sinceKey, key: content, f, a } = read;
    if (content) this.#key = { epoch, audioSamples, content };
    const key = this.#key;
    if (key?.epoch !== epoch || key.audioSamples !== audioSamples - sinceKey) return undefined;
    const { anchorMs, next, segments } = key.content;
    const frames = f.flatMap(([entry, index, startSamples, first, count]) => {
      const segment = segments[index];
      return segment === undefined ? [] : [{ entry, segment, startSamples, first, count }];
    });
    const [index = 0, seq = 0, positionSamples = 0] = a ?? [];
    const segment = a && segments[index];
    const after = segment === undefined ? undefined : { segment, seq, positionSamples };
    const opus = fields.filter((_, i) => i >= 2 && i % 2 === 1).slice(0, STEPS_LIMIT);
    return { epoch, anchorMs, audioSamples, frames, ...(after && { after }), next, opus };
  }
}
