import {
  type ClientError,
  type ClientStats,
  connect,
  type MicrophoneState,
  type Session,
  type SessionEvent,
  type SessionState,
} from '@humancast/client';
import { Stage } from './stage.js';
import { STYLES } from './styles.js';
import { failureOf, PHRASES, type Phrase, type Words, wordsIn } from './words.js';

/** Events besides those of every element. Those that `<video>` has, too, mean the same. */
export interface HumanCastEventMap extends HTMLElementEventMap {
  /** {@link HumanCastElement.state} has changed; `null` once there is no session. */
  statechange: CustomEvent<SessionState | null>;
  /** Anything that happens in the session, such as `speech.started`. */
  sessionevent: CustomEvent<SessionEvent>;
  /** Statistics, once a second. */
  stats: CustomEvent<ClientStats>;
  /** The microphone is `off`, `starting` (the browser asks the viewer), `on` or `muted`. */
  micchange: CustomEvent<MicrophoneState>;
  speechstart: Event;
  speechend: Event;
}

/** Events that `<video>` fires when a state begins; in the others it is `waiting`. */
const MEDIA_EVENTS: Readonly<Partial<Record<SessionState, string>>> = {
  playing: 'playing',
  paused: 'pause',
  ended: 'ended',
  failed: 'error',
};
const SHAPE_TOLERANCE = 0.02;

/** An element whose listeners get the events of {@link HumanCastEventMap}. */
interface TypedElement extends HTMLElement {
  addEventListener<Name extends keyof HumanCastEventMap>(
    type: Name,
    listener: (this: HumanCastElement, event: HumanCastEventMap[Name]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

/** Lets the module load where there is no DOM, as on a server that renders pages. */
const BaseElement = (globalThis.HTMLElement ?? class {}) as new () => TypedElement;

/**
 * `<human-cast session="…" token="…">`: plays a session, with whatever a viewer needs to see, hear and control it. It joins
 * when it is in a document and has both attributes, and leaves when it is removed.
 */
export class HumanCastElement extends BaseElement {
  static readonly observedAttributes = [
    'session',
    'token',
    'src',
    'poster',
    'controls',
    'mic',
    'fit',
    'aria-label',
    'lang',
  ];
  readonly #internals: ElementInternals;
  readonly #stage: Stage;
  /** Rules of this element alone: its shape, until the page sets one. */
  readonly #shape: CSSStyleSheet;
  #words: Words = wordsIn([]);
  #aspect: number | undefined;
  #session: Session | undefined;
  /** The attributes that {@link #session} was opened with. */
  #opened = '';
  #updates = false;
  #state: SessionState | undefined;
  #error: ClientError | undefined;
  #speaking = false;
  #hasFrame = false;
  /** Whether the video's color is above its matte. */
  #stacked = false;
  #stats: ClientStats | undefined;

  constructor() {
    super();
    this.#internals = this.attachInternals();
    this.#internals.role = 'group';
    const root = this.attachShadow({ mode: 'open', delegatesFocus: true });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
    this.#shape = new CSSStyleSheet();
    root.adoptedStyleSheets = [sheet, this.#shape];
    this.#stage = new Stage(root, {
      play: () => void this.play().catch(() => {}),
      setMuted: (muted) => {
        this.muted = muted;
      },
      setVolume: (volume) => {
        this.volume = Math.min(1, Math.max(0, volume));
        this.muted &&= false;
      },
      interrupt: () => this.interrupt(),
      fullscreen: () => this.#toggleFullscreen(),
      pictureInPicture: () => void this.requestPictureInPicture().catch(() => {}),
      retry: () => this.load(),
    });
    const { video, poster } = this.#stage;
    video.onvolumechange = () => {
      this.#render();
      this.#fire('volumechange');
    };
    video.onresize = () => {
      this.#shaped(this.videoWidth, this.videoHeight);
      this.#fire('resize');
    };
    poster.onload = () => this.#shaped(poster.naturalWidth, poster.naturalHeight);
    // Some browsers draw an icon for an image that is missing.
    poster.onerror = () => poster.removeAttribute('src');
    this.addEventListener('keydown', (event) => {
      // Keys in what the page has put into the element are the page's.
      if (event.target !== this || !this.controls || event.ctrlKey || event.metaKey || event.altKey) return;
      if (this.#stage.pressed(event.key)) event.preventDefault();
    });
  }

  /** The session's id, from `POST /v1/sessions`. */
  get session(): string {
    return this.getAttribute('session') ?? '';
  }
  set session(session: string) {
    this.setAttribute('session', session);
  }

  /** The session's token. */
  get token(): string {
    return this.getAttribute('token') ?? '';
  }
  set token(token: string) {
    this.setAttribute('token', token);
  }

  /** Base URL of humancast. Default: the page's origin. */
  get src(): string {
    return new URL(this.getAttribute('src') ?? '/', document.baseURI).href;
  }
  set src(src: string) {
    this.setAttribute('src', src);
  }

  /** URL of the image that is shown until video plays. Default: the first frame of the avatar's idle playlist. */
  get poster(): string {
    return this.getAttribute('poster') ?? '';
  }
  set poster(poster: string) {
    this.setAttribute('poster', poster);
  }

  get controls(): boolean {
    return this.hasAttribute('controls');
  }
  set controls(controls: boolean) {
    this.toggleAttribute('controls', controls);
  }

  /** Whether the words that are being said are shown. */
  get captions(): boolean {
    return this.hasAttribute('captions');
  }
  set captions(captions: boolean) {
    this.toggleAttribute('captions', captions);
  }

  /**
   * Whether viewers that may speak get a button for their microphone: `''` to switch it on and off, `'hold'` to talk while it
   * is held; `null` without one.
   */
  get mic(): string | null {
    return this.getAttribute('mic');
  }
  set mic(mode: string | null) {
    if (mode || mode === '') this.setAttribute('mic', mode);
    else this.removeAttribute('mic');
  }

  /** `contain` (default), `cover` or `fill`, as CSS `object-fit`. */
  get fit(): string {
    return this.getAttribute('fit') ?? 'contain';
  }
  set fit(fit: string) {
    this.setAttribute('fit', fit);
  }

  /** Reflects the attribute `muted`: whether it stays muted where the browser would allow audio from the start. */
  get defaultMuted(): boolean {
    return this.hasAttribute('muted');
  }
  set defaultMuted(muted: boolean) {
    this.toggleAttribute('muted', muted);
  }

  /** Whether audio is off. Browsers let a page turn it on only in a click or a key press. */
  get muted(): boolean {
    return this.#stage.video.muted;
  }
  set muted(muted: boolean) {
    if (muted) this.#session?.mute();
    else void this.#session?.unmute();
  }

  /** From 0 to 1. On iOS it is read-only. */
  get volume(): number {
    return this.#stage.video.volume;
  }
  set volume(volume: number) {
    this.#stage.video.volume = volume;
  }

  get videoWidth(): number {
    return this.#stage.video.videoWidth;
  }

  get videoHeight(): number {
    return this.#stage.video.videoHeight / (this.#stacked ? 2 : 1);
  }

  get paused(): boolean {
    return this.#stage.video.paused;
  }

  get ended(): boolean {
    return this.#state === 'ended';
  }

  /** Why it failed or ended; `null` while it has not. */
  get error(): ClientError | null {
    return this.#error ?? null;
  }

  /** `undefined` while there is no session. */
  get state(): SessionState | undefined {
    return this.#state;
  }

  /** Position in the queue, from 1, while the state is `waiting`. */
  get waitingPosition(): number | undefined {
    return this.#session?.waitingPosition;
  }

  /** The client's session, for what the element has no control for, such as a `Microphone`. */
  get connection(): Session | undefined {
    return this.#session;
  }

  /** Whether speech plays, as opposed to idle clips. */
  get speaking(): boolean {
    return this.#speaking;
  }

  /** Statistics of the last second. */
  get stats(): ClientStats | undefined {
    return this.#stats;
  }

  /** @throws DOMException `NotAllowedError` if the browser requires a click. */
  async play(): Promise<void> {
    if (this.#session && !(await this.#session.play())) {
      throw new DOMException('the browser requires a click', 'NotAllowedError');
    }
  }

  pause(): void {
    this.#session?.pause();
  }

  /** Turns audio on. Call it from a click or key handler. @returns Whether the browser allowed it. */
  async unmute(): Promise<boolean> {
    return (await this.#session?.unmute()) ?? false;
  }

  /** Interrupts the speech, which is silent from now on. @returns Whether the request was sent. */
  interrupt(): boolean {
    return this.#session?.interrupt() ?? false;
  }

  /** Joins again, as after a failure. */
  load(): void {
    this.#opened = '';
    this.#update();
  }

  /** @throws DOMException as the video element does; also where the browser has no picture-in-picture. */
  async requestPictureInPicture(): Promise<PictureInPictureWindow> {
    const { video } = this.#stage;
    if (!video.requestPictureInPicture) throw new DOMException('no picture-in-picture', 'NotSupportedError');
    return video.requestPictureInPicture();
  }

  connectedCallback(): void {
    this.#update();
  }

  disconnectedCallback(): void {
    this.#update();
  }

  attributeChangedCallback(): void {
    this.#update();
  }

  /** In a microtask, so that several attributes, or moving the element in the document, lead to one update. */
  #update(): void {
    if (this.#updates) return;
    this.#updates = true;
    queueMicrotask(() => {
      this.#updates = false;
      this.#apply();
    });
  }

  #apply(): void {
    this.#words = wordsIn([this.closest('[lang]')?.getAttribute('lang') || navigator.language]);
    this.#stage.fit = this.fit;
    const { session, token } = this;
    const wanted = this.isConnected && session && token ? `${session} ${token} ${this.src}` : '';
    const image = this.poster || (wanted && !this.hasAttribute('transparent') && this.#posterUrl());
    if (image && image !== this.#stage.poster.getAttribute('src')) this.#stage.poster.src = image;
    if (wanted !== this.#opened) {
      this.#close();
      if (wanted) this.#open(wanted);
    }
    this.#render();
  }

  #posterUrl(): string {
    const url = new URL(this.src);
    url.pathname = `${url.pathname.replace(/\/$/, '')}/v1/sessions/${this.session}/poster`;
    url.searchParams.set('token', this.token);
    return url.href;
  }

  #open(attributes: string): void {
    this.#opened = attributes;
    this.#error = undefined;
    const { video } = this.#stage;
    const session = connect({ url: this.src, session: this.session, token: this.token, video });
    this.#session = session;
    video.requestVideoFrameCallback?.(() => {
      this.#hasFrame = true;
      this.#render();
    });
    // Leaving ends the session for this viewer, but like a `<video>` without a source, the element has not come to an end.
    session.on('state', (state) => session === this.#session && this.#changed(state));
    session.on('error', (error) => {
      if (error.fatal) this.#error = error;
    });
    // Few avatars are transparent, so what draws them is loaded on demand; until then, nothing is shown.
    session.on('alpha', async () => {
      this.#stacked ||= video.hidden = true;
      (await import('./matte.js')).drawMatte(video, session);
    });
    // Neither has every session text. Captions get all events since the first one, in order, also while they are loaded.
    let hasText = false;
    session.on('event', async (event) => {
      this.#happened(event);
      hasText ||= event.type === 'speech.text';
      if (hasText) (await import('./captions.js')).caption(this, session, this.#words, event);
    });
    session.on('stats', (stats) => {
      this.#stats = stats;
      this.#fire('stats', stats);
    });
    this.#changed(session.state);
  }

  #close(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#opened = '';
    session?.close();
    this.#stacked = false;
    this.#hasFrame = false;
    if (session) this.#changed(undefined);
  }

  #changed(state: SessionState | undefined): void {
    const first = state === 'playing' && !this.#hasFrame && this.#state !== 'playing';
    this.#state = state;
    if (state === undefined || state === 'ended' || state === 'failed') {
      this.#hasFrame = false;
      this.#speak(false);
    } else if (state === 'playing' && !('requestVideoFrameCallback' in this.#stage.video)) this.#hasFrame = true;
    // Browsers that would refuse audio now would also stop the video.
    if (first && !this.defaultMuted && navigator.userActivation?.hasBeenActive) void this.#session?.unmute();
    this.#render();
    this.#fire('statechange', state);
    if (state) this.#fire(MEDIA_EVENTS[state] ?? 'waiting');
  }

  #happened(event: SessionEvent): void {
    if (event.type === 'speech.started') this.#speak(true);
    else if (event.type === 'speech.finished') this.#speak(false);
    this.#fire('sessionevent', event);
  }

  #speak(speaking: boolean): void {
    if (speaking === this.#speaking) return;
    this.#speaking = speaking;
    this.#render();
    this.#fire(speaking ? 'speechstart' : 'speechend');
  }

  #fire(name: string, detail?: unknown): void {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** The first picture sets the shape of the box; video of another shape is shown whole in it. */
  #shaped(width: number, height: number): void {
    if (!width || !height) return;
    const aspect = width / height;
    if (!this.#aspect) this.#shape.replaceSync(`:host{aspect-ratio:${width}/${height}}`);
    this.#aspect ??= aspect;
    const same = Math.abs(aspect / this.#aspect - 1) < SHAPE_TOLERANCE;
    this.#stage.fit = same || this.fit === 'fill' ? this.fit : 'contain';
  }

  #toggleFullscreen(): void {
    const { video } = this.#stage;
    const phone = video as HTMLVideoElement & { webkitEnterFullscreen?: () => void };
    if (document.fullscreenElement === this) void document.exitFullscreen();
    else if (document.fullscreenEnabled) this.requestFullscreen().catch(() => {});
    else phone.webkitEnterFullscreen?.();
  }

  #render(): void {
    const { muted, volume } = this.#stage.video;
    const state = this.#state;
    const failure =
      state === 'failed' || state === 'ended' ? failureOf(this.#error?.code ?? 'session_ended') : undefined;
    const plays = state === 'playing' || state === 'stalled' || state === 'paused';
    this.#stage.render({
      words: this.#words,
      label: this.ariaLabel,
      message: this.#message(failure?.phrase),
      busy: state !== undefined && !plays && !failure,
      dimmed: state === 'reconnecting',
      covered: !this.#hasFrame,
      action: state === 'paused' ? 'play' : failure?.retry ? 'retry' : undefined,
      controls: this.controls && plays,
      muted,
      volume,
      speaking: this.#speaking,
    });
    // Pages can style these states, such as `:state(speaking)`.
    const { states } = this.#internals;
    states?.clear();
    for (const name of [state, this.#speaking && 'speaking', muted && 'muted']) if (name) states?.add(name);
    // Few sessions hear their viewers, so that the microphone, too, is loaded on demand.
    const session = this.#session;
    if (this.mic !== null && session?.canSpeak)
      import('./microphone.js').then(({ talk }) => talk(this, session, this.#words, states));
  }

  /** Some states have a phrase of their name. */
  #message(phrase: string = this.#state ?? ''): string {
    return phrase in PHRASES ? this.#words(phrase as Phrase, this.waitingPosition) : '';
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'human-cast': HumanCastElement;
  }
}
