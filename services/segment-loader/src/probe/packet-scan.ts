/** What {@link PacketScan} asks of ffprobe. */
export const PACKET_ENTRIES = 'packet=codec_type,stream_index,pts_time,dts_time,duration_time,flags';

/** Fields of a packet in ffprobe's order, which leaves out those that it does not know. */
const PACKET_LINE = new RegExp(
  String.raw`^\s*\{ "codec_type": "(\w+)", "stream_index": (\d+)` +
    ['pts_time', 'dts_time', 'duration_time', 'flags'].map((name) => `(?:, "${name}": "([^"]+)")?`).join(''),
);

/** A clock that goes back by more than this starts again; less is jitter, which the filters level out. */
export const BACK_SECONDS = 0.5;
/** A clock that goes forward by more than this has jumped, or nothing was recorded meanwhile. */
export const AHEAD_SECONDS = 10;

/** More than two hours at 60 fps; a rate is known long before. */
const MAX_TIMES = 500_000;
const MAX_STREAMS = 64;
/** So many jumps can be mended in one file. */
export const MAX_JUMPS = 200;

/** The packets of one stream, on a clock that runs on through all jumps. */
export interface ScannedStream {
  /** Packets that are to be shown or heard; those that an edit list cuts are left out. */
  readonly packets: number;
  readonly startSeconds: number;
  /** Where the last one ends. */
  readonly endSeconds: number;
  /** The sum of what the packets say they last; holes don't count. */
  readonly packetSeconds: number;
  /** The place of the first packet that is shown, from 0: one that can be decoded on its own, or comes after one that can. */
  readonly firstShown: number;
  /** What is added to a timestamp after each of its jumps, s. */
  readonly shifts: readonly number[];
  /** Timestamps of video packets in the order in which they are shown; a list for each part between two jumps. */
  readonly times: readonly (readonly number[])[];
}

/** A stretch of the file in which the clock runs on. */
interface Part {
  /** Whether the clock went back to get here. */
  readonly isBack: boolean;
  from: number;
  to: number;
}

interface Stream {
  readonly kind: string;
  count: number;
  packets: number;
  hasKey: boolean;
  firstShown: number | undefined;
  last: number | undefined;
  end: number;
  seconds: number;
  part: number;
  /** The part that follows each jump. */
  readonly jumps: number[];
  /** By part. */
  readonly times: Map<number, number[]>;
  readonly ranges: Map<number, { from: number; to: number }>;
  stored: number;
}

/**
 * Reads the timestamps of all packets of a file, without decoding any. Where files were joined or a recorder started anew, the
 * clock jumps: all streams at the same place in the file, so one shift keeps them in sync.
 */
export class PacketScan {
  readonly #streams = new Map<number, Stream>();
  readonly #parts: Part[] = [{ isBack: false, from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY }];

  /** Takes a line that ffprobe printed as compact JSON; one that is not the start of a packet is passed over. */
  push(line: string): void {
    const [, kind = '', index = '', pts = '', dts = '', duration = '', flags = ''] = PACKET_LINE.exec(line) ?? [];
    const stream = this.#stream(Number(index), kind);
    if (!stream) return;
    stream.hasKey ||= flags.startsWith('K');
    const isShown = !flags.includes('D');
    if (stream.hasKey && isShown) stream.firstShown ??= stream.count;
    stream.count++;
    if (!isShown) return;
    stream.packets++;
    const [shown, decoded] = [secondsOf(pts), secondsOf(dts)];
    const time = decoded ?? shown;
    if (time === undefined) return;
    this.#place(stream, time);
    this.#take(stream, time, shown ?? time, secondsOf(duration) ?? 0);
  }

  /**
   * @param closesGaps whether a step forward of all streams is a jump of the clock, as in MPEG-TS; else it is a pause.
   * @returns what was found, by the index of the stream; `undefined` when the clock jumps more often than can be mended.
   */
  report(closesGaps: boolean): ReadonlyMap<number, ScannedStream> | undefined {
    if (this.#parts.length > MAX_JUMPS) return undefined;
    const shifts = this.#shifts(closesGaps);
    return new Map([...this.#streams].map(([index, stream]) => [index, scanned(stream, shifts)]));
  }

  #stream(index: number, kind: string): Stream | undefined {
    const known = this.#streams.get(index);
    if (!/^(video|audio)$/.test(kind) || !Number.isInteger(index)) return undefined;
    if (known || this.#streams.size >= MAX_STREAMS) return known;
    const made: Stream = {
      kind,
      count: 0,
      packets: 0,
      hasKey: false,
      firstShown: undefined,
      last: undefined,
      end: Number.NEGATIVE_INFINITY,
      seconds: 0,
      part: 0,
      jumps: [],
      times: new Map(),
      ranges: new Map(),
      stored: 0,
    };
    // A stream that begins later begins where the others are.
    made.part = this.#parts.length - 1;
    this.#streams.set(index, made);
    return made;
  }

  /** Finds out whether the clock of this stream has jumped, and to which part of the file. */
  #place(stream: Stream, time: number): void {
    if (stream.last === undefined) return;
    const isBack = time < stream.last - BACK_SECONDS;
    if (!isBack && time <= Math.max(stream.last, stream.end) + AHEAD_SECONDS) return;
    const latest = this.#parts.length - 1;
    if (stream.part === latest && latest < MAX_JUMPS && (isBack || !this.#isFilled(stream, time))) {
      this.#parts.push({ isBack, from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY });
    }
    stream.part = this.#parts.length - 1;
    if (stream.jumps.length <= MAX_JUMPS) stream.jumps.push(stream.part);
  }

  /** Whether another stream has gone on while this one had nothing. */
  #isFilled(stream: Stream, time: number): boolean {
    const gapFrom = stream.end;
    return [...this.#streams.values()].some(
      (other) =>
        other !== stream &&
        other.part === stream.part &&
        other.last !== undefined &&
        other.last > gapFrom + AHEAD_SECONDS / 2 &&
        other.last < time + AHEAD_SECONDS,
    );
  }

  #take(stream: Stream, time: number, shown: number, duration: number): void {
    stream.last = time;
    stream.end = time + duration;
    stream.seconds += duration;
    const part = this.#parts[stream.part];
    if (part) {
      part.from = Math.min(part.from, shown);
      part.to = Math.max(part.to, shown + duration);
    }
    const range = stream.ranges.get(stream.part) ?? { from: shown, to: shown };
    range.from = Math.min(range.from, shown);
    range.to = Math.max(range.to, shown + duration);
    stream.ranges.set(stream.part, range);
    if (stream.kind !== 'video' || stream.stored >= MAX_TIMES) return;
    stream.stored++;
    const times = stream.times.get(stream.part) ?? [];
    times.push(shown);
    stream.times.set(stream.part, times);
  }

  /** What is added to the timestamps of each part. */
  #shifts(closesGaps: boolean): number[] {
    const shifts = [0];
    for (let i = 1; i < this.#parts.length; i++) {
      const [before, part, shift = 0] = [this.#parts[i - 1], this.#parts[i], shifts[i - 1]];
      const isJump = part && before && Number.isFinite(part.from) && (part.isBack || closesGaps);
      shifts.push(isJump ? shift + before.to - part.from : shift);
    }
    return shifts;
  }
}

function scanned(stream: Stream, shifts: readonly number[]): ScannedStream {
  const ranges = [...stream.ranges].map(([part, { from, to }]) => [
    from + (shifts[part] ?? 0),
    to + (shifts[part] ?? 0),
  ]);
  return {
    packets: stream.packets,
    startSeconds: ranges.length === 0 ? 0 : Math.min(...ranges.map(([from = 0]) => from)),
    endSeconds: ranges.length === 0 ? 0 : Math.max(...ranges.map(([, to = 0]) => to)),
    packetSeconds: stream.seconds,
    firstShown: stream.firstShown ?? 0,
    shifts: stream.jumps.map((part) => shifts[part] ?? 0),
    times: [...stream.times.values()].map((times) => times.sort((a, b) => a - b)),
  };
}

function secondsOf(text: string): number | undefined {
  const seconds = text === '' || text === 'N/A' ? Number.NaN : Number(text);
  return Number.isFinite(seconds) ? seconds : undefined;
}
