import {
  type Avatar,
  LIVE_HOLD_FRAMES,
  type LiveLoaderMessage,
  type LiveStart,
  type Rational,
} from '@humancast/protocol';
import {
  type Clock,
  HumancastError,
  type LiveWriter,
  type LoaderConfig,
  type Logger,
  type MediaStore,
  newId,
  PCM_RATE,
  type Retention,
  type SegmentManifest,
  samplesToMs,
  type Tracer,
  toHumancastError,
  traceFields,
  unpackGop,
} from '@humancast/shared';
import { planRenditions, storedRendition } from '../encode/encode-plan.js';
import { encodeSettingsOf } from '../encode/encode-settings.js';
import { gopFramesOf } from '../encode/frame-rate.js';
import type { Size } from '../encode/video-size.js';
import type { Ladders } from '../ladder/ladders.js';
import type { MediaQuota } from '../retention/media-quota.js';
import { expectedBytes, noRoom } from '../retention/room.js';
import type { SegmentArchive } from '../retention/segment-archive.js';
import { AudioIntake } from './audio-intake.js';
import type { Backdrops } from './backdrops.js';
import type { EncoderProcess } from './encoder-process.js';
import { framesBefore, framesFor } from './frame-mapping.js';
import { HeldTime } from './held-time.js';
import { checkFrameSize, frameRateOf, parseBinary, parseText } from './live-message.js';
import type { LiveMetrics } from './live-metrics.js';
import { LiveSegment } from './live-segment.js';
import type { LiveSession, QueuedPush } from './live-session.js';
import { PushTrace } from './push-trace.js';
import { TrackGapDetector } from './track-gap.js';

/** Number of unprocessed frames in the encoder at which the producer is held back. */
const MAX_IN_FLIGHT = 4;
/** Encoded media not yet stored at which the producer is held back, bytes. */
const MAX_PENDING_BYTES = 8 * 2 ** 20;
const TICK_MS = 100;
const STATUS_TICKS = 5;
const ALIVE_TICKS = 10;
/**
 * Media duration for which room is made at the start, because the length of a push is unknown. Housekeeping evicts for the
 * rest.
 */
const ROOM_SECONDS = 60;
/** Maximum wait for `start`, ms. */
const START_TIMEOUT_MS = 60_000;
/** Silence above this is a pause of the producer, not lag. */
const PAUSE_MS = 2000;
/** Time limit of encoding and storing after the end. */
const FINISH_MS = 15_000;

/** The producer's connection, as seen by a push. */
export interface ProducerPort {
  send(message: LiveLoaderMessage): void;
  /** Stops reading until {@link resume}; messages already read are still delivered. */
  pause(): void;
  resume(): void;
  /** Closes normally; everything is stored. */
  finish(): void;
  /** Sends the error, then closes with the matching code. */
  fail(error: HumancastError): void;
}

export interface LivePushParts {
  readonly config: Pick<
    LoaderConfig,
    | 'renditions'
    | 'gopMs'
    | 'liveIdleMinutes'
    | 'liveTrackWaitMs'
    | 'liveLagLimitMs'
    | 'liveMaxSeconds'
    | 'liveTtlSeconds'
    | 'sessionQueueLimit'
  >;
  readonly store: MediaStore;
  readonly archive: Pick<SegmentArchive, 'keep'>;
  readonly ladders: Pick<Ladders, 'add'>;
  readonly quota: Pick<MediaQuota, 'makeRoom'>;
  readonly live: LiveWriter;
  /** Draws the layers of an avatar's composition. */
  readonly backdrops: Pick<Backdrops, 'of'>;
  readonly takeEncoder: () => EncoderProcess;
  readonly metrics: LiveMetrics;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly tracer: Tracer;
}

export interface PushTarget {
  readonly avatar: Avatar;
  /** Session in which the push is spoken, if any. */
  readonly session: LiveSession | undefined;
  /** Trace context of the producer. */
  readonly traceparent: string | undefined;
  /** Name of the producer's API key. */
  readonly owner: string;
}

type State = 'new' | 'starting' | 'open' | 'ending' | 'over';

/**
 * One live push, from its header to the stored segment. Frames go to the encoder process, audio is converted here, and both
 * are added to the segment as they come. A producer that is too fast is held back. However a push ends, what arrived is
 * kept.
 */
export class LivePush {
  readonly #avatar: Avatar;
  readonly #session: LiveSession | undefined;
  readonly #owner: string;
  readonly #port: ProducerPort;
  readonly #parts: LivePushParts;
  readonly #trackGap: TrackGapDetector;
  readonly #trace: PushTrace;
  readonly #finished = Promise.withResolvers<void>();
  /** Messages that were read before reading was paused for the start or for the avatar's still. */
  readonly #early: { data: Buffer; isBinary: boolean }[] = [];
  #logger: Logger;
  #state: State = 'new';
  #start: LiveStart | undefined;
  #fps: Rational = { num: 25, den: 1 };
  #targetFps: Rational = { num: 25, den: 1 };
  #encoder: EncoderProcess | undefined;
  #segment: LiveSegment | undefined;
  #audio: AudioIntake | undefined;
  #queued: QueuedPush | undefined;
  #timer: NodeJS.Timeout | undefined;
  #held = false;
  readonly #heldTime: HeldTime;
  #discarded = false;
  #beginning: Promise<void> = Promise.resolve();
  /** Whether the avatar's still is on its way to the encoder; later messages must not overtake it. */
  #awaitsStill = false;
  /** Number of renditions that are encoded. */
  #renditions = 0;
  #framesReceived = 0;
  /** Number of frames received or held, at the producer's rate. */
  #framesPlaced = 0;
  /** Number of samples received or filled, at the producer's rate. */
  #samplesPlaced = 0;
  /** Number of frames sent to the encoder, at the segment's rate. */
  #framesSent = 0;
  #firstMs: number | undefined;
  #lastMs: number;
  /** Time of the last video or audio message. */
  #lastMediaMs: number | undefined;
  #ticks = 0;

  constructor({ avatar, session, traceparent, owner }: PushTarget, port: ProducerPort, parts: LivePushParts) {
    this.#avatar = avatar;
    this.#session = session;
    this.#owner = owner;
    this.#port = port;
    this.#parts = parts;
    const of = { avatar: avatar.id, ...(session && { session: session.id }) };
    this.#trace = new PushTrace(parts.tracer, traceparent, of);
    this.#logger = parts.logger.child({ ...of, key: owner, ...traceFields(this.#trace.traceparent) });
    this.#trackGap = new TrackGapDetector(parts.config.liveTrackWaitMs);
    this.#lastMs = parts.clock.nowMs();
    this.#heldTime = new HeldTime(this.#lastMs);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
  }

  /** Resolves when everything has been stored or dropped. */
  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  receive(data: Buffer, isBinary: boolean): void {
    if (this.#state === 'ending' || this.#state === 'over') return;
    this.#lastMs = this.#parts.clock.nowMs();
    if (this.#state === 'starting' || this.#awaitsStill) {
      this.#early.push({ data, isBinary });
      return;
    }
    try {
      if (isBinary) this.#receiveBinary(data);
      else this.#receiveText(data.toString());
    } catch (error) {
      this.fail(error);
    }
  }

  /** Handles a lost connection: a segment without an end message ends with what arrived, and states so. */
  gone(): void {
    const message = 'the connection ended before the end of the push';
    void this.#finish(new HumancastError('producer_gone', message), false);
  }

  get avatar(): string {
    return this.#avatar.id;
  }

  /** `undefined` before the push has begun. */
  get segment(): string | undefined {
    return this.#segment?.id;
  }

  /** Ends the push with an error sent to the producer, and removes what arrived. */
  async discard(reason: HumancastError): Promise<void> {
    this.#discarded = true;
    this.fail(reason);
    await Promise.all([this.finished, this.#beginning]);
  }

  /** Ends the push with an error sent to the producer; what arrived is kept. */
  fail(thrown: unknown): void {
    const error = toHumancastError(thrown);
    if (error.code === 'internal') this.#logger.error({ err: thrown }, 'live push failed');
    void this.#finish(error, true);
  }

  #receiveText(text: string): void {
    const message = parseText(text);
    if (message.type === 'start') {
      if (this.#state !== 'new') throw new HumancastError('already_started');
      this.#beginning = this.#begin(message).catch((error: unknown) => this.fail(error));
      return;
    }
    if (this.#state === 'new') throw new HumancastError('start_required');
    switch (message.type) {
      case 'hold':
        this.#place(message.frames, (count) => void this.#fillVideo(count));
        this.#requireLength();
        break;
      case 'fill':
        this.#fillTo(message.toMs);
        break;
      case 'text': {
        const { type: _, ...cue } = message;
        this.#requireLength(cue.untilMs);
        this.#segment?.addText(cue);
        break;
      }
      case 'alive':
        break;
      case 'end':
        void this.#finish(undefined, true);
    }
  }

  #receiveBinary(data: Buffer): void {
    if (!this.#start) throw new HumancastError('start_required');
    const { kind, body } = parseBinary(data);
    this.#notePause();
    this.#trackGap.received(kind);
    if (kind === 'video') this.#receiveVideo(body);
    else this.#receiveAudio(body);
    this.#requireLength();
  }

  /** Fills both tracks up to a position. @throws HumancastError `bad_message`, `media_too_long`. */
  #fillTo(toMs: number): void {
    if (!this.#start || !this.#audio) return;
    this.#requireLength(toMs);
    const places = Math.round((toMs * this.#fps.num) / (1000 * this.#fps.den));
    const frames = framesBefore(places, this.#fps, this.#targetFps) - this.#framesSent;
    const samples = Math.round((toMs * this.#start.sampleRate) / 1000) - this.#samplesPlaced;
    const framesOfAudio = (samples * this.#fps.num) / (this.#fps.den * this.#start.sampleRate);
    if (Math.max(frames, framesOfAudio) > LIVE_HOLD_FRAMES) {
      throw new HumancastError('bad_message', `toMs: fills more than ${LIVE_HOLD_FRAMES} frames`);
    }
    this.#framesPlaced = Math.max(this.#framesPlaced, places);
    if (samples > 0) {
      this.#samplesPlaced += samples;
      this.#addAudio(this.#audio.silence(samples));
    }
    void this.#fillVideo(frames);
  }

  /** @throws HumancastError `media_too_long`. */
  #requireLength(lengthMs = this.#longestMs): void {
    const { liveMaxSeconds } = this.#parts.config;
    if (lengthMs <= liveMaxSeconds * 1000) return;
    throw new HumancastError('media_too_long', {
      detail: `the push is longer than the limit of ${liveMaxSeconds} s`,
      extra: { maxDurationSeconds: liveMaxSeconds },
    });
  }

  /** Excludes pauses from the lag; they leave no gap in the segment. */
  #notePause(): void {
    const nowMs = this.#lastMs;
    const pausedMs = nowMs - (this.#lastMediaMs ?? nowMs);
    this.#firstMs = (this.#firstMs ?? nowMs) + (pausedMs > PAUSE_MS ? pausedMs : 0);
    this.#lastMediaMs = nowMs;
  }

  /** Converts frames at the producer's rate to frames at the segment's. */
  #place(frames: number, show: (count: number) => void): void {
    let count = 0;
    for (let i = 0; i < frames; i++) count += framesFor(this.#framesPlaced + i, this.#fps, this.#targetFps);
    this.#framesPlaced += frames;
    if (count > 0) show(count);
  }

  #receiveVideo(frame: Buffer): void {
    checkFrameSize(this.#start as LiveStart, frame.length);
    this.#framesReceived++;
    this.#place(1, (count) => {
      this.#framesSent += count;
      this.#trace.received();
      this.#encoder?.encode(frame, count);
      this.#balance();
    });
  }

  #receiveAudio(bytes: Buffer): void {
    const audio = this.#audio;
    if (!audio) return;
    this.#addAudio(audio.push(bytes));
    this.#samplesPlaced += audio.samplesIn(bytes);
    this.#balance();
  }

  #addAudio(samples: Int16Array): void {
    if (samples.length > 0) this.#segment?.addAudio(samples);
  }

  async #begin(start: LiveStart): Promise<void> {
    this.#state = 'starting';
    this.#port.pause();
    const { config, store, live, takeEncoder, metrics, backdrops } = this.#parts;
    const settings = encodeSettingsOf(this.#avatar, config);
    this.#start = start;
    this.#fps = frameRateOf(start.fps);
    this.#targetFps = settings.fps ?? this.#avatar.composition?.fps ?? this.#fps;
    this.#audio = new AudioIntake(start);
    const merge = await backdrops.of(this.#avatar, settings, start);
    // The producer may have disconnected meanwhile.
    if (this.#state !== 'starting') return;
    const manifest = this.#openManifest(start, merge?.setup ?? start);
    this.#logger = this.#logger.child({ segment: manifest.id });
    const segment = new LiveSegment(manifest, this.#retention, { store, live, onFailed: (error) => this.fail(error) });
    this.#encoder = takeEncoder();
    const { width, height, pixelFormat } = start;
    const { gopFrames, renditions, fps } = manifest;
    const encoding = this.#encoder.begin(
      { width, height, pixelFormat, fps, gopFrames, merge: merge?.setup, renditions },
      {
        onFrame: (rendition, number, keyframe, data) => {
          this.#trace.encoded(segment.addFrame(rendition, number, keyframe, data));
          if (rendition === segment.counted) metrics.frameEncoded();
        },
        onRenditions: (count) => this.#noteRenditions(count),
        onTaken: () => this.#balance(),
        onFailed: (error) => this.fail(error),
      },
      merge?.backdrop,
    );
    await Promise.all([encoding, this.#makeRoom(manifest).then(() => segment.open())]);
    if (this.#state !== 'starting') return segment.discard();
    this.#segment = segment;
    this.#renditions = renditions.length;
    await this.#queue(segment.id, start.interrupt);
    this.#open(manifest);
  }

  async #makeRoom({ renditions }: SegmentManifest): Promise<void> {
    if (!(await this.#parts.quota.makeRoom(expectedBytes(renditions, ROOM_SECONDS)))) throw noRoom();
  }

  get #retention(): Retention {
    return { pinned: false, ttlSeconds: this.#parts.config.liveTtlSeconds };
  }

  #openManifest({ name }: LiveStart, size: Size): SegmentManifest {
    const settings = encodeSettingsOf(this.#avatar, this.#parts.config);
    const id = newId('seg');
    return {
      version: 1,
      id,
      avatar: this.#avatar.id,
      name: name ?? id,
      role: 'speech',
      source: 'live',
      state: 'open',
      createdAtMs: this.#parts.clock.wallMs(),
      fps: this.#targetFps,
      frames: 0,
      gopFrames: gopFramesOf(settings.gopMs, this.#targetFps),
      pcmSamples: 0,
      durationSamples: 2,
      renditions: planRenditions(size, settings).map((rendition) => storedRendition(rendition, 0)),
      markFrames: [],
      owner: this.#owner,
      ...(this.#session && { session: this.#session.id }),
    };
  }

  /** Queues the segment in the session, so that it is spoken from its first frame on. */
  async #queue(segment: string, interrupt: boolean): Promise<void> {
    const limit = this.#parts.config.sessionQueueLimit;
    const { traceparent } = this.#trace;
    this.#queued = await this.#session?.queue(segment, { interrupt, limit, traceparent }, (event) => {
      if (event.type === 'interrupted') this.#port.send({ type: 'interrupted', positionMs: event.positionMs });
      else this.fail(new HumancastError('session_ended'));
    });
  }

  #open(manifest: SegmentManifest): void {
    if (this.#state !== 'starting') return;
    this.#state = 'open';
    this.#lastMs = this.#parts.clock.nowMs();
    this.#logger.info({ start: this.#start, renditions: manifest.renditions.length }, 'live push started');
    this.#trace.opened(manifest.id);
    const queued = this.#queued && { seq: this.#queued.seq, turn: this.#queued.turn };
    this.#port.send({ type: 'ready', segment: manifest.id, ...queued });
    this.#takeEarly();
  }

  #takeEarly(): void {
    for (const { data, isBinary } of this.#early.splice(0)) this.receive(data, isBinary);
    this.#balance();
    if (!this.#held && !this.#awaitsStill) this.#port.resume();
  }

  /** Holds the producer back while the encoder or the stores are behind. */
  #balance(): void {
    if (this.#state !== 'open') return;
    const isBehind =
      (this.#encoder?.inFlight ?? 0) >= MAX_IN_FLIGHT || (this.#segment?.pendingBytes ?? 0) > MAX_PENDING_BYTES;
    if (isBehind === this.#held) return;
    this.#held = isBehind;
    if (isBehind) this.#port.pause();
    else {
      this.#lastMs = this.#parts.clock.nowMs();
      if (this.#lastMediaMs !== undefined) this.#lastMediaMs = this.#lastMs;
      this.#port.resume();
    }
  }

  #tick(): void {
    const { config, clock } = this.#parts;
    if (this.#state === 'starting' || this.#state === 'ending') return;
    this.#ticks++;
    const idleMs = config.liveIdleMinutes * 60_000;
    const limitMs = this.#state === 'new' ? Math.min(idleMs, START_TIMEOUT_MS) : idleMs;
    if (!this.#held && clock.nowMs() - this.#lastMs > limitMs) {
      this.fail(new HumancastError('idle_timeout', `no message came for ${limitMs / 1000} s`));
      return;
    }
    if (this.#state !== 'open') return;
    this.#balance(); // the stores may have caught up
    if (!this.#held && !this.#awaitsStill) this.#fillAbsent();
    const lagMs = Math.round(Math.min(this.#lagMs, this.#heldTime.advance(clock.nowMs(), this.#held)));
    if (this.#held && lagMs > config.liveLagLimitMs) {
      this.fail(
        new HumancastError('live_overloaded', {
          detail: `encoding is ${lagMs} ms behind real time; send smaller or fewer frames`,
          extra: { lagMs },
        }),
      );
      return;
    }
    if (this.#ticks % STATUS_TICKS === 0) this.#sendStatus();
    if (this.#ticks % ALIVE_TICKS === 0) this.#segment?.keepAlive();
  }

  #fillAbsent(): void {
    this.#trackGap.advance(TICK_MS);
    const gapMs = this.#videoMs - this.#audioMs;
    switch (this.#trackGap.missing) {
      case 'audio':
        if (gapMs > 0) {
          this.#addAudio(new Int16Array(Math.floor((gapMs * PCM_RATE) / 1000)));
          this.#samplesPlaced += Math.floor((gapMs * (this.#start?.sampleRate ?? PCM_RATE)) / 1000);
        }
        break;
      case 'video':
        if (gapMs < 0) void this.#fillVideo(Math.floor((-gapMs * this.#targetFps.num) / (1000 * this.#targetFps.den)));
        break;
    }
  }

  /** Repeats the last frame; before the first one, the avatar's still. */
  async #fillVideo(count: number): Promise<void> {
    if (count <= 0) return;
    const isFirst = this.#framesSent === 0;
    this.#framesSent += count;
    if (isFirst) {
      this.#awaitsStill = true;
      this.#port.pause();
      await this.#showAvatar().catch((error: Error) =>
        this.#logger.warn({ err: error.message }, 'cannot show the idle still, showing black'),
      );
      this.#awaitsStill = false;
    }
    this.#encoder?.repeat(count);
    if (isFirst) this.#takeEarly();
    else this.#balance();
  }

  async #showAvatar(): Promise<void> {
    const { store } = this.#parts;
    const [idle] = await store.getIdlePlaylist(this.#avatar.id);
    const manifest = idle === undefined ? undefined : await store.getManifest(idle);
    const rendition = manifest?.renditions[0];
    if (!manifest || !rendition) return;
    const gop = await store.readGop(manifest.id, rendition.id, 0);
    const first = gop && unpackGop(gop)[0];
    if (first) this.#encoder?.still(rendition, first.data);
  }

  /** The encoder leaves renditions out while it is slower than real time. */
  #noteRenditions(count: number): void {
    const dropped = this.#renditions - count;
    this.#renditions = count;
    if (dropped > 0) this.#parts.metrics.renditionsDropped(dropped);
    this.#logger[dropped > 0 ? 'warn' : 'info']({ renditions: count }, 'renditions of the live push changed');
  }

  #sendStatus(): void {
    this.#parts.metrics.lagged(this.#lagMs);
    this.#port.send({
      type: 'status',
      framesReceived: this.#framesReceived,
      framesEncoded: this.#segment?.frames ?? 0,
      readyMs: Math.round(this.#readyMs),
      lagMs: Math.round(this.#lagMs),
      clampedSamples: this.#audio?.clampedSamples ?? 0,
      renditions: this.#renditions,
    });
  }

  get #encodedMs(): number {
    return ((this.#segment?.frames ?? 0) * 1000 * this.#targetFps.den) / this.#targetFps.num;
  }

  /** Duration of the video sent to the encoder, ms. */
  get #videoMs(): number {
    return (this.#framesSent * 1000 * this.#targetFps.den) / this.#targetFps.num;
  }

  get #audioMs(): number {
    return ((this.#segment?.pcmSamples ?? 0) * 1000) / PCM_RATE;
  }

  get #readyMs(): number {
    return Math.min(this.#encodedMs, this.#audioMs);
  }

  get #longestMs(): number {
    return Math.max(this.#videoMs, this.#audioMs);
  }

  get #lagMs(): number {
    return this.#firstMs === undefined ? 0 : Math.max(0, this.#parts.clock.nowMs() - this.#firstMs - this.#readyMs);
  }

  /** @param tell Whether the producer is still connected. */
  async #finish(error: HumancastError | undefined, tell: boolean): Promise<void> {
    if (this.#state === 'ending' || this.#state === 'over') return;
    this.#state = 'ending';
    clearInterval(this.#timer);
    this.#queued?.forget();
    this.#port.resume(); // later messages are read and dropped, so that the close handshake completes
    if (error) this.#parts.metrics.failed(error.code);
    if (error && tell) this.#port.fail(error);
    try {
      const manifest = await this.#close(error);
      if (manifest) this.#report(manifest, error, tell);
      else if (!error) this.#port.fail(new HumancastError('live_empty'));
    } catch (thrown) {
      this.#logger.error({ err: thrown }, 'cannot complete the segment');
      if (!error && tell) this.#port.fail(toHumancastError(thrown));
    } finally {
      this.#encoder?.kill();
      this.#trace.over(error?.code);
      this.#state = 'over';
      this.#finished.resolve();
    }
  }

  /** @returns `undefined` if nothing had begun. */
  async #close(error: HumancastError | undefined): Promise<SegmentManifest | undefined> {
    const segment = this.#segment;
    if (!segment) return undefined;
    if (this.#discarded) {
      this.#encoder?.kill();
      await segment.discard();
      return undefined;
    }
    const rest = this.#audio?.end();
    if (rest && rest.length > 0) segment.addAudio(rest);
    if (this.#framesSent === 0 && segment.pcmSamples > 0) await this.#fillVideo(1);
    await this.#drainEncoder();
    const { archive, ladders } = this.#parts;
    const manifest = await segment.close(error && { code: error.code, message: error.message });
    if (manifest.state === 'complete') await archive.keep(manifest, this.#retention);
    ladders.add(manifest);
    return manifest;
  }

  async #drainEncoder(): Promise<void> {
    const encoder = this.#encoder;
    const timeout = setTimeout(() => encoder?.kill(), FINISH_MS);
    try {
      await encoder?.end();
    } catch (error) {
      this.#logger.warn({ err: (error as Error).message }, 'encoder failed before the end');
    } finally {
      clearTimeout(timeout);
    }
  }

  #report(manifest: SegmentManifest, error: HumancastError | undefined, tell: boolean): void {
    const { id, state, frames, durationSamples } = manifest;
    const durationMs = samplesToMs(durationSamples);
    const outcome = { state, frames, durationMs, received: this.#framesReceived, ...(error && { code: error.code }) };
    if (error) this.#logger.warn({ ...outcome, detail: error.message }, 'live push ended early');
    else this.#logger.info(outcome, 'live push complete');
    this.#parts.metrics.ended(durationMs);
    if (error || !tell) return;
    if (state === 'failed') this.#port.fail(new HumancastError('live_empty'));
    else {
      this.#port.send({ type: 'done', segment: id, durationMs, frames });
      this.#port.finish();
    }
  }
}
