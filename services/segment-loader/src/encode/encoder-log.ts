import { type RejectedSize, rejectedSize } from '../ffmpeg/rejected-size.js';

const MAX_LINE_CHARS = 2000;
const TAIL_LINES = 8;

/** Stream name `<input>:<stream>`, as in `#0:1` of FFmpeg's messages. */
export type StreamName = `${number}:${number}`;

export interface StreamHealth {
  /** Frames or packets that could not be decoded, or only with error concealment. */
  damaged: number;
  /** Frames output by the decoder; `undefined` if it did not report them. */
  decoded: number | undefined;
  /** Audio only: decoded samples per channel. */
  samples: number | undefined;
}

/**
 * Parses ffmpeg's log (`-loglevel repeat+level+verbose`) to count damage, because its exit code is 0 however broken a file
 * is. It understands the wording of FFmpeg 5 and of 6 and later.
 */
export class EncoderLog {
  readonly #streams = new Map<string, StreamHealth>();
  readonly #tail: string[] = [];
  #partial = '';
  /** Frame size that a decoder rejected mid-stream because it exceeds the limit. */
  rejectedSize: RejectedSize | undefined;

  push(chunk: Buffer): void {
    const lines = (this.#partial + chunk.toString('latin1')).split('\n');
    this.#partial = (lines.pop() ?? '').slice(0, MAX_LINE_CHARS);
    for (const line of lines) this.#read(line);
  }

  health(stream: StreamName): Readonly<StreamHealth> {
    return this.#streams.get(stream) ?? { damaged: 0, decoded: undefined, samples: undefined };
  }

  /** The last error messages, for the service's log. */
  get complaints(): string {
    return this.#tail.join('; ');
  }

  #read(line: string): void {
    const damaged = damagedStream(line);
    if (damaged) this.#of(damaged).damaged++;
    const summary = /Input stream #(\d+:\d+) .*?; (\d+) frames decoded(?:[^(;]*\((\d+) samples)?/.exec(line);
    if (summary) {
      const health = this.#of(summary[1] ?? '');
      health.decoded = Number(summary[2]);
      if (summary[3] !== undefined) health.samples = Number(summary[3]);
    }
    this.rejectedSize ??= rejectedSize(line);
    if (/\[(error|fatal|panic)\]/.test(line)) {
      this.#tail.push(line.trim());
      if (this.#tail.length > TAIL_LINES) this.#tail.shift();
    }
  }

  #of(stream: string): StreamHealth {
    const health = this.#streams.get(stream) ?? { damaged: 0, decoded: undefined, samples: undefined };
    this.#streams.set(stream, health);
    return health;
  }
}

function damagedStream(line: string): string | undefined {
  const five = /Error while decoding stream #(\d+:\d+)/.exec(line);
  if (five) return five[1];
  const fiveFrame = /\/dev\/fd\/(\d+): corrupt decoded frame in stream (\d+)/.exec(line);
  if (fiveFrame) return `${Number(fiveFrame[1]) - 3}:${fiveFrame[2]}`;
  return /\[[va]ist#(\d+:\d+)\/.*(?:Error submitting packet to decoder|corrupt decoded frame)/.exec(line)?.[1];
}
