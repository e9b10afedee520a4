import { setTimeout as sleep } from 'node:timers/promises';
import { type FaceCamera, FRAMES_PER_SECOND, type IdlePoses, VoiceFace } from '@humancast/demo-face';
import type { Humancast, LivePush } from '@humancast/producer';
import { REALTIME_RATE } from '../realtime/messages.js';
import { AudioQueue } from './audio-queue.js';
import { Transcript } from './transcript.js';

const FRAME_SAMPLES = REALTIME_RATE / FRAMES_PER_SECOND;
/** How far frames are drawn ahead of real time, ms: more is wasted if the viewer interrupts. */
const AHEAD_MS = 500;
const LONGEST_SECONDS = 180;

export interface AnswerParts {
  readonly humancast: Pick<Humancast, 'live' | 'session'>;
  readonly camera: FaceCamera;
  readonly idlePoses: IdlePoses;
  readonly session: string;
  readonly avatar: string;
}

/** One answer of the model: pushed live with its text, and a face that is drawn from its audio. */
export class Answer {
  /** The session's turn that it belongs to: after an interruption it is rejected wherever it is by then. */
  readonly turn: number;
  readonly audio = new AudioQueue(REALTIME_RATE, LONGEST_SECONDS);
  readonly #transcript = new Transcript();
  readonly #parts: AnswerParts;
  readonly #stop = new AbortController();
  #segment: string | undefined;

  constructor(turn: number, parts: AnswerParts) {
    this.turn = turn;
    this.#parts = parts;
  }

  /** The segment that it is played as, once it is open. */
  get segment(): string | undefined {
    return this.#segment;
  }

  /** Adds to the words that its audio says. */
  transcribe(delta: string): void {
    this.#transcript.add(delta, this.audio.arrivedMs);
  }

  /** Stops making it. */
  drop(): void {
    this.#stop.abort();
    this.audio.end();
  }

  /**
   * Speaks it while it arrives.
   * @param onStart Called with the segment when it is open.
   * @returns Whether anything was pushed.
   * @throws ProducerError `interrupted` if its turn is over before it could begin; the signal's reason after `drop()`.
   */
  async speak(onStart: (segment: string) => void): Promise<boolean> {
    if (!(await this.audio.any())) return false;
    const { humancast, camera, idlePoses, session, avatar } = this.#parts;
    this.#stop.signal.throwIfAborted();
    const { nextCut } = await humancast.session(session);
    const startPose = await idlePoses.after(nextCut, performance.now());
    const push = await humancast.live({
      avatar,
      session,
      turn: this.turn,
      name: 'Answer',
      fps: FRAMES_PER_SECOND,
      width: camera.size,
      height: camera.size,
      pixelFormat: 'i420',
      sampleRate: REALTIME_RATE,
      signal: this.#stop.signal,
    });
    this.#segment = push.segment;
    onStart(push.segment);
    try {
      await this.#push(push, new VoiceFace(REALTIME_RATE, startPose(performance.now())));
      await push.end();
    } catch (error) {
      push.cancel();
      throw error;
    }
    return true;
  }

  async #push(push: LivePush, face: VoiceFace): Promise<void> {
    const { camera } = this.#parts;
    const signal = AbortSignal.any([this.#stop.signal, push.interrupted]);
    const startMs = performance.now();
    let frames = 0;
    const pace = async () => {
      frames++;
      const earlyMs = startMs + (frames * 1000) / FRAMES_PER_SECOND - AHEAD_MS - performance.now();
      // Sleeps at least one turn of the event loop: drawing must not delay the microphone.
      await sleep(Math.max(0, earlyMs), undefined, { signal });
    };
    for (;;) {
      const pcm = await this.audio.take(FRAME_SAMPLES);
      signal.throwIfAborted();
      for (const { text, ...times } of this.#transcript.take(this.audio.lengthMs)) await push.pushText(text, times);
      if (!pcm) break;
      await push.pushAudio(pcm);
      await push.pushVideo(camera.frameOf(face.next(pcm)));
      await pace();
    }
    for (const pose of face.rest(FRAMES_PER_SECOND)) {
      await push.pushAudio(new Int16Array(FRAME_SAMPLES));
      await push.pushVideo(camera.frameOf(pose));
      await pace();
    }
  }
}
