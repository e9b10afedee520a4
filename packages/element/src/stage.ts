import { create, icon } from './dom.js';
import type { Words } from './words.js';

const PLAY = 'M8 5.5v13l10.5-6.5z';
const SPEAKER = 'M4 9.5v5h3.5L12 18.5v-13L7.5 9.5z';
const SOUND_OFF = `${SPEAKER}M16 9.5l5 5M21 9.5l-5 5`;
const SOUND_ON = `${SPEAKER}M15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a7.8 7.8 0 0 1 0 11`;
const STOP = 'M6.5 6.5h11v11h-11z';
const EXPAND = 'M9 4H4v5M15 4h5v5M9 20H4v-5M15 20h5v-5';
const PICTURE_IN_PICTURE = 'M4 5h16v14H4zM12 12h8v7h-8z';

export interface StageActions {
  play(): void;
  setMuted(muted: boolean): void;
  setVolume(volume: number): void;
  interrupt(): void;
  fullscreen(): void;
  pictureInPicture(): void;
  retry(): void;
}

/** What the element shows at a moment. */
export interface StageView {
  words: Words;
  label: string | null;
  /** Text for the viewer, also for screen readers. */
  message: string;
  /** Whether the viewer waits for something. */
  busy: boolean;
  /** The video is shown, but is not current. */
  dimmed: boolean;
  /** Whether the poster covers the video. */
  covered: boolean;
  action: 'play' | 'retry' | undefined;
  controls: boolean;
  muted: boolean;
  volume: number;
  speaking: boolean;
}

/** The shadow tree. Knows nothing of sessions. */
export class Stage {
  readonly video = create('video', { part: 'video', playsinline: '', muted: '', disableremoteplayback: '' });
  readonly poster = create('img', { part: 'poster', alt: '', decoding: 'async' });
  readonly #spinner = create('div', { class: 'spinner', part: 'spinner' });
  readonly #message = create('p', { part: 'message', role: 'status' });
  readonly #actions: StageActions;
  readonly #root: ShadowRoot;
  readonly #play: HTMLButtonElement;
  readonly #retry: HTMLButtonElement;
  readonly #unmute: HTMLButtonElement;
  readonly #interrupt: HTMLButtonElement;
  readonly #mute: HTMLButtonElement;
  readonly #volume = create('input', { type: 'range', min: '0', max: '1', step: '0.05' });
  readonly #volumeBox = create('span', { class: 'volume', part: 'volume' }, this.#volume);
  readonly #pictureInPicture: HTMLButtonElement;
  readonly #fullscreen: HTMLButtonElement;
  readonly #bar: HTMLElement;
  readonly #over: HTMLElement;
  /** Whether scripts may set the volume; on iOS it always reads as 1. */
  readonly #hasVolume: boolean;

  constructor(root: ShadowRoot, actions: StageActions) {
    this.#actions = actions;
    this.#root = root;
    this.#play = button('play', PLAY, actions.play, 'call');
    this.#retry = button('retry', PLAY, actions.retry, 'call');
    this.#unmute = button('unmute', SOUND_OFF, () => actions.setMuted(false), 'call bottom');
    this.#interrupt = button('interrupt', STOP, actions.interrupt);
    this.#mute = button('mute', SOUND_ON, () => actions.setMuted(true));
    this.#pictureInPicture = button('picture-in-picture', PICTURE_IN_PICTURE, actions.pictureInPicture);
    this.#fullscreen = button('fullscreen', EXPAND, actions.fullscreen);
    this.#volume.oninput = () => actions.setVolume(this.#volume.valueAsNumber);
    this.#bar = create(
      'div',
      { class: 'bar', part: 'controls' },
      this.#interrupt,
      create('span', { class: 'gap' }),
      this.#mute,
      this.#volumeBox,
      this.#pictureInPicture,
      this.#fullscreen,
    );
    const own = create('slot', { name: 'message' }, this.#message, this.#play, this.#retry);
    this.#over = create('div', { class: 'over', part: 'overlay' }, this.#spinner, own);
    root.append(this.video, this.poster, this.#over, this.#unmute, this.#bar, create('slot'));
    this.video.volume = 0.5;
    this.#hasVolume = this.video.volume === 0.5;
    this.video.volume = 1;
  }

  set fit(fit: string) {
    for (const { classList } of [this.video, this.poster]) {
      classList.toggle('cover', fit === 'cover');
      classList.toggle('fill', fit === 'fill');
    }
  }

  render(view: StageView): void {
    const focused = this.#root.activeElement;
    const { words, controls, muted } = view;
    this.video.ariaLabel = view.label ?? words('label');
    this.video.classList.toggle('dim', view.dimmed);
    this.poster.classList.toggle('gone', !view.covered);
    this.#spinner.hidden = !view.busy;
    if (this.#message.textContent !== view.message) this.#message.textContent = view.message;
    name(this.#play, words('play'), view.action === 'play', true);
    name(this.#retry, words('retry'), view.action === 'retry', true);
    const callsForSound = controls && muted && view.action === undefined;
    name(this.#unmute, words('unmute'), callsForSound, true);
    this.#bar.hidden = !controls;
    name(this.#interrupt, words('interrupt'), view.speaking, true);
    name(this.#mute, words('mute'), !muted);
    this.#volumeBox.hidden = !this.#hasVolume;
    this.#volume.ariaLabel = words('volume');
    this.#volume.valueAsNumber = muted ? 0 : view.volume;
    name(this.#pictureInPicture, words('pictureInPicture'), document.pictureInPictureEnabled === true);
    name(this.#fullscreen, words('fullscreen'), 'webkitEnterFullscreen' in this.video || document.fullscreenEnabled);
    // The focus stays inside, so that keys continue to work.
    if (focused?.closest('[hidden]')) this.#root.querySelector<HTMLElement>('button:not([hidden])')?.focus();
  }

  /** Handles the keys of a player while the focus is inside. @returns Whether the key has a meaning. */
  pressed(key: string): boolean {
    const { muted, volume } = this.video;
    if (key === 'm') this.#actions.setMuted(!muted);
    else if (key === 'f') this.#actions.fullscreen();
    else if (key === 'Escape' && !this.#interrupt.hidden) this.#actions.interrupt();
    else if (key === 'ArrowUp') this.#actions.setVolume(volume + 0.1);
    else if (key === 'ArrowDown') this.#actions.setVolume(volume - 0.1);
    else return false;
    return true;
  }
}

function button(part: string, path: string, act: () => void, className = ''): HTMLButtonElement {
  const made = create('button', { type: 'button', part: `button ${part}`, class: className }, icon(path));
  made.onclick = act;
  return made;
}

/** Names a button, in words beside its icon or for screen readers only. */
function name(of: HTMLButtonElement, words: string, shown: boolean, written = false): void {
  of.hidden = !shown;
  of.ariaLabel = words;
  of.title = words;
  if (!written) return;
  const text = of.querySelector('span') ?? of.appendChild(create('span'));
  text.textContent = words;
}
