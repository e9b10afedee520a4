/** Entries requested from ffprobe for {@link PacketScan}. */
export const PACKET_ENTRIES = 'packet=codec_type,stream_index,pts_time,dts_time,duration_time,flags';

/** Fields of a packet in ffprobe's order; it omits those that it does not know. */
const PACKET_LINE = new RegExp(
  String.raw`^\s*\{ "codec_type": "(\w+)", "stream_index": (\d+)` +
    ['pts_time', 'dts_time', 'duration_time', 'flags'].map((name) => `(?:, "${name}": "([^"]+)")?`).join(''),
);

/** Backward step, s, above which the clock has restarted; smaller ones are jitter, which the filters correct. */
export const BACK_SECONDS = 0.5;
/** Forward step, s, above which the clock has jumped, or recording was paused. */
export const AHEAD_SECONDS = 10;

/** More than two hours at 60 fps; the rate is known long before. */
const MAX_TIMES = 500_000;
const MAX_STREAMS = 64;
/** Maximum number of clock jumps that can be corrected in one file. */
export const MAX_JUMPS = 200;

const LATE_PACKETS = 4;

/** Packets of one stream, on a clock without jumps. */
export interface ScannedStream {
  readonly kind: string;
  /** Number of packets of all streams before this one's first packet. */
  readonly firstPosition: number;
  /**
   * The same for the packet {@link LATE_PACKETS} before its last one, because FFmpeg emits the last ones of MPEG-TS late.
   */
  readonly lastPosition: number;
  /** Number of packets to be presented, without those that an edit list cuts. */
  readonly packets: number;
  readonly startSeconds: number;
  /** End of the last packet. */
  readonly endSeconds: number;
  /** Sum of the packets' durations, without gaps. */
  readonly packetSeconds: number;
  /** Index of the first packet presented, from 0: one that can be decoded on its own, or follows one that can. */
  readonly firstShown: number;
  /** Offset added to timestamps after each jump, s. */
  readonly shifts: readonly number[];
  /** Timestamps of video packets in presentation order; a list for each part between two jumps. */
  readonly times: readonly (readonly number[])[];
}

/** Part of the file in which the clock is continuous. */
interface Part {
  /** Whether the clock stepped back at its start. */
  readonly isBack: boolean;
  from: number;
  to: number;
}

interface Stream {
  readonly kind: string;
  readonly firstPosition: number;
  /** The last packets, the oldest first. */
  readonly positions: number[];
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
  /** Timestamps by part. */
  readonly times: Map<number, number[]>;
  readonly ranges: Map<number, { from: number; to: number }>;
  stored: number;
}

/**
 * Reads the timestamps of all packets of a file without decoding. Where files were joined or a recorder restarted, the clock
 * jumps in all streams at the same place in the file, so one offset keeps them in sync.
 */
export class PacketScan {
  readonly #streams = new Map<number, Stream>();
  readonly #parts: Part[] = [{ isBack: false, from: Number.POSITIVE_INFINITY, to: Number.NEGATIVE_INFINITY }];

  #position = 0;

  /** Adds a line of ffprobe's compact JSON; a line that does not start a packet is ignored. */
  push(line: string): void {
    const [, kind = '', index = '', pts = '', dts = '', duration = '', flags = ''] = PACKET_LINE.exec(line) ?? [];
    const stream = this.#stream(Number(index), kind);
    if (!stream) return;
    stream.positions.push(this.#position++);
    if (stream.positions.length > LATE_PACKETS + 1) stream.positions.shift();
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
   * @param closesGaps Whether a forward step of all streams is a clock jump, as in MPEG-TS; otherwise it is a pause.
   * @returns The streams by index; `undefined` if the clock jumps more often than can be corrected.
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
      firstPosition: this.#position,
      positions: [],
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
    // A stream that begins later begins in the part that the others have reached.
    made.part = this.#parts.length - 1;
    this.#streams.set(index, made);
    return made;
  }

  /** Determines whether this stream's clock has jumped, and to which part of the file. */
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

  /** @returns Whether another stream has continued during this stream's gap. */
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

  /** @returns The offset added to the timestamps of each part. */
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
    kind: stream.kind,
    firstPosition: stream.firstPosition,
    // Of a shorter stream: its second packet.
    lastPosition: stream.positions[stream.positions.length > LATE_PACKETS ? 0 : 1] ?? stream.firstPosition,
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
