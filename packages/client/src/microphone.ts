import type { Session } from './session.js';

/** - `starting`: the browser asks the viewer for permission */
export type MicrophoneState = 'off' | 'starting' | 'on' | 'muted';

export interface MicrophoneEvents {
  state: MicrophoneState;
}

/** Why a microphone could not be started. */
export type MicrophoneProblem =
  /** The viewer's token does not allow it. */
  | 'not_allowed'
  /** Browsers allow microphones on HTTPS pages and on localhost only. */
  | 'insecure_page'
  /** The viewer, or the browser's settings, refused. */
  | 'refused'
  | 'no_device'
  /** Another program uses it, or it failed. */
  | 'device_failed';

const WORDS: Readonly<Record<MicrophoneProblem, string>> = {
  not_allowed: 'This link does not allow speaking.',
  insecure_page: 'Microphones work on HTTPS pages and on localhost only.',
  refused: 'The browser does not let this page use the microphone. Allow it in the address bar, then try again.',
  no_device: 'No microphone was found.',
  device_failed: 'The microphone does not work. Another program may be using it.',
};

/** Its message is for the viewer. */
export class MicrophoneError extends Error {
  readonly code: MicrophoneProblem;

  constructor(code: MicrophoneProblem, cause?: unknown) {
    super(WORDS[code], { cause });
    this.code = code;
  }
}

/** The browser's processing of the voice: without echo cancellation, the avatar would hear itself. */
const CONSTRAINTS: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  channelCount: 1,
};

/**
 * A viewer's microphone in one session. It is off until {@link start}, and after the session has ended. It shares no code with
 * the session, so that pages can load it on demand.
 */
export class Microphone {
  readonly #events = new EventTarget();
  readonly #session: Session;
  readonly #devices: Pick<MediaDevices, 'getUserMedia'> | undefined;
  #state: MicrophoneState = 'off';
  #stream: MediaStream | undefined;
  /** Counts starts and stops, because permission may come after a stop. */
  #turn = 0;

  /** @param devices Replaceable in tests. */
  constructor(session: Session, devices = globalThis.navigator?.mediaDevices) {
    this.#session = session;
    this.#devices = devices;
    session.on('state', (state) => {
      if (state === 'ended' || state === 'failed') this.stop();
    });
  }

  /** @returns A function that removes the listener. */
  on(name: keyof MicrophoneEvents, listener: (state: MicrophoneState) => void): () => void {
    const happened = () => listener(this.#state);
    this.#events.addEventListener(name, happened);
    return () => this.#events.removeEventListener(name, happened);
  }

  get state(): MicrophoneState {
    return this.#state;
  }

  /** What is recorded, for a level meter; `undefined` while it is off. */
  get stream(): MediaStream | undefined {
    return this.#stream;
  }

  /**
   * Starts it, or changes its device; one that is muted stays so. Call it from a click or key handler.
   * @param deviceId From `enumerateDevices()`. Default: the browser's choice.
   * @throws MicrophoneError
   */
  async start(deviceId?: string): Promise<void> {
    if (!this.#session.canSpeak) throw new MicrophoneError('not_allowed');
    if (!this.#devices) throw new MicrophoneError('insecure_page');
    const turn = ++this.#turn;
    if (!this.#stream) this.#setState('starting');
    let stream: MediaStream;
    try {
      const device = deviceId === undefined ? {} : { deviceId: { exact: deviceId } };
      stream = await this.#devices.getUserMedia({ audio: { ...CONSTRAINTS, ...device } });
    } catch (error) {
      if (turn === this.#turn && !this.#stream) this.#setState('off');
      throw new MicrophoneError(problemOf(error), error);
    }
    if (turn !== this.#turn) {
      release(stream);
      return;
    }
    release(this.#stream);
    this.#stream = stream;
    const [track] = stream.getAudioTracks();
    // A device that is unplugged.
    track?.addEventListener('ended', () => this.#stream === stream && this.stop());
    const staysMuted = deviceId !== undefined && this.#state === 'muted';
    this.#enable(!staysMuted);
    this.#session.setMicrophone(track ?? null);
  }

  /** Sends silence until {@link unmute}; the browser keeps the device open. */
  mute(): void {
    this.#enable(false);
  }

  unmute(): void {
    this.#enable(true);
  }

  stop(): void {
    this.#turn++;
    this.#session.setMicrophone(null);
    release(this.#stream);
    this.#stream = undefined;
    this.#setState('off');
  }

  #enable(enabled: boolean): void {
    if (!this.#stream) return;
    for (const track of this.#stream.getAudioTracks()) track.enabled = enabled;
    this.#setState(enabled ? 'on' : 'muted');
  }

  #setState(state: MicrophoneState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#events.dispatchEvent(new Event('state'));
  }
}

function problemOf(error: unknown): MicrophoneProblem {
  switch ((error as Partial<DOMException> | undefined)?.name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return 'refused';
    case 'NotFoundError':
    case 'OverconstrainedError':
      return 'no_device';
    default:
      return 'device_failed';
  }
}

function release(stream: MediaStream | undefined): void {
  for (const track of stream?.getTracks() ?? []) track.stop();
}
