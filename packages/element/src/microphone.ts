import {
  Microphone,
  MicrophoneError,
  type MicrophoneProblem,
  type Session,
  type SessionState,
} from '@humancast/client';
import type { HumanCastElement } from './human-cast-element.js';
import { measureLevel } from './level.js';
import type { Words } from './words.js';

const NAME = ['Microphone', 'Mikrofon', 'Micrófono', 'Micro', 'マイク', '麦克风'];
const HOLD = [
  'Hold to talk',
  'Zum Sprechen halten',
  'Mantén pulsado para hablar',
  'Maintenir pour parler',
  '押している間、話せます',
  '按住说话',
];
const DEVICE = ['Device', 'Gerät', 'Dispositivo', 'Appareil', 'デバイス', '设备'];

/** In English, the client's own message is shown. */
const PROBLEMS: Readonly<
  Record<MicrophoneProblem, readonly [de: string, es: string, fr: string, ja: string, zh: string]>
> = {
  not_allowed: [
    'Dieser Link erlaubt nicht, zu sprechen.',
    'Este enlace no permite hablar.',
    'Ce lien ne permet pas de parler.',
    'このリンクでは話せません。',
    '此链接不允许发言。',
  ],
  insecure_page: [
    'Mikrofone funktionieren nur auf HTTPS-Seiten und auf localhost.',
    'El micrófono solo funciona en páginas HTTPS y en localhost.',
    'Le micro ne fonctionne que sur les pages HTTPS et sur localhost.',
    'マイクは HTTPS のページか localhost でのみ使えます。',
    '麦克风只能在 HTTPS 页面或 localhost 上使用。',
  ],
  refused: [
    'Der Browser gibt das Mikrofon nicht frei. Bitte in der Adressleiste erlauben und erneut versuchen.',
    'El navegador no permite usar el micrófono. Permítelo en la barra de direcciones e inténtalo de nuevo.',
    'Le navigateur refuse l’accès au micro. Autorisez-le dans la barre d’adresse, puis réessayez.',
    'ブラウザーがマイクの使用を許可していません。アドレスバーで許可してから、もう一度お試しください。',
    '浏览器不允许此页面使用麦克风。请在地址栏中允许，然后重试。',
  ],
  no_device: [
    'Kein Mikrofon gefunden.',
    'No se encontró ningún micrófono.',
    'Aucun micro trouvé.',
    'マイクが見つかりません。',
    '未找到麦克风。',
  ],
  device_failed: [
    'Das Mikrofon funktioniert nicht. Vielleicht verwendet es ein anderes Programm.',
    'El micrófono no funciona. Puede que lo esté usando otro programa.',
    'Le micro ne fonctionne pas. Un autre programme l’utilise peut-être.',
    'マイクが動作しません。別のプログラムが使用中かもしれません。',
    '麦克风无法使用，可能正被其他程序占用。',
  ],
};

const ICON =
  'M12 4a2.5 2.5 0 0 0-2.5 2.5v5a2.5 2.5 0 0 0 5 0v-5A2.5 2.5 0 0 0 12 4zM6.5 11.5a5.5 5.5 0 0 0 11 0M12 17v3';
const CROSSED = `${ICON}M5 5l14 14`;
/** Who lets go earlier than this, in ms, has clicked, and is told to hold. */
const CLICK_MS = 400;

/** The button has a place of its own, because an open microphone must be seen also without controls and while nothing plays. */
const STYLES = `.talk{position:absolute;left:16px;bottom:16px;max-width:calc(100% - 32px);box-sizing:border-box;display:flex;
flex-direction:column-reverse;align-items:start;gap:8px}
:host(:not([mic])) .talk{display:none}
:host([mic]) .bar{left:66px}
.captions:has(~.talk),.talk~.captions{bottom:68px}
.bottom:not([hidden])~.talk p{margin-bottom:50px}
.talk button{touch-action:none;user-select:none;-webkit-user-select:none;-webkit-touch-callout:none}
.talk [aria-busy=true]{opacity:.6}
.talk [aria-pressed=true]{color:#16181a;background:linear-gradient(to top,#7fd99a calc(var(--human-cast-level,0)*100%),#fff 0)}
.talk:not(:hover,:has(:focus-visible,select:focus)) select{display:none}
select{max-width:100%;height:32px;padding:0 8px;border:0;border-radius:16px;font:inherit;color:#fff;background:#16181a;
color-scheme:dark}`;

/** Microphones of the sessions that hear their viewer. */
const shown = new WeakMap<Session, MicrophoneButton>();

/**
 * Shows a button for the viewer's microphone.
 * @param states Custom states of the element; `mic` is one while the viewer can be heard.
 */
export function talk(host: HumanCastElement, session: Session, words: Words, states: CustomStateSet | undefined): void {
  if (isOver(session.state)) return;
  const button = shown.get(session) ?? new MicrophoneButton(host, session);
  shown.set(session, button);
  button.render(words, states);
}

/** Switches the viewer's microphone on and off, or on while it is held. Removed when the session is over. */
class MicrophoneButton {
  readonly #host: HumanCastElement;
  readonly #microphone: Microphone;
  readonly #box = document.createElement('div');
  readonly #button: HTMLButtonElement;
  readonly #devices = document.createElement('select');
  readonly #message = document.createElement('p');
  #words: Words = () => '';
  #states: CustomStateSet | undefined;
  /** When the viewer began to hold it, as `performance.now()`. */
  #heldSinceMs: number | undefined;
  /** The stream whose level is shown. */
  #measured: MediaStream | undefined;
  #endLevel: (() => void) | undefined;

  constructor(host: HumanCastElement, session: Session) {
    this.#host = host;
    this.#microphone = new Microphone(session);
    const root = host.shadowRoot as ShadowRoot;
    const bar = root.querySelector('.bar') as HTMLElement;
    // An icon needs no HTML, which pages with Trusted Types reject, if it is another button's with another path.
    this.#button = bar.querySelector('[part~=fullscreen]')?.cloneNode(true) as HTMLButtonElement;
    this.#button.setAttribute('part', 'button mic');
    this.#button.hidden = false;
    this.#devices.part.add('mic-device');
    this.#devices.hidden = true;
    this.#message.part.add('mic-message');
    this.#message.role = 'alert';
    this.#box.className = 'talk';
    this.#box.append(this.#button, this.#devices, this.#message);
    bar.after(this.#box);
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
    root.adoptedStyleSheets.push(sheet);

    const left = new AbortController();
    this.#listen(left.signal);
    const attributes = new MutationObserver(() => this.#modeChanged());
    attributes.observe(host, { attributeFilter: ['mic'] });
    let before = this.#microphone.state;
    this.#microphone.on('state', (state) => {
      const wasLost = state === 'off' && before !== 'starting' && host.mic !== null && !isOver(session.state);
      before = state;
      if (wasLost) this.#explain(new MicrophoneError('device_failed'));
      this.#changed();
      host.dispatchEvent(new CustomEvent('micchange', { detail: state }));
    });
    session.on('state', (state) => {
      if (!isOver(state)) return;
      attributes.disconnect();
      left.abort();
      this.#microphone.stop();
      this.#box.remove();
      root.adoptedStyleSheets = root.adoptedStyleSheets.filter((each) => each !== sheet);
    });
  }

  render(words: Words, states: CustomStateSet | undefined): void {
    this.#words = words;
    this.#states = states;
    this.#devices.ariaLabel = words(DEVICE);
    this.#changed();
  }

  get #isHold(): boolean {
    return this.#host.mic === 'hold';
  }

  #listen(signal: AbortSignal): void {
    const on = <Name extends keyof HTMLElementEventMap>(
      target: HTMLElement,
      names: readonly Name[],
      listener: (event: HTMLElementEventMap[Name]) => void,
    ) => {
      for (const name of names) target.addEventListener(name, listener, { signal });
    };
    on(this.#button, ['click'], ({ detail }) => {
      // Screen readers click without a pointer, and can't hold.
      if (!this.#isHold || detail === 0) this.#toggle();
    });
    on(this.#button, ['pointerdown'], ({ button, pointerId }) => {
      if (!this.#isHold || button !== 0) return;
      this.#button.setPointerCapture(pointerId);
      this.#hold();
    });
    on(this.#button, ['pointerup', 'pointercancel', 'blur'], () => this.#letGo());
    // A long touch
    on(this.#button, ['contextmenu'], (event) => this.#isHold && event.preventDefault());
    on(this.#host, ['keydown', 'keyup'], (event) => this.#keyed(event));
    on(this.#devices, ['change'], () => void this.#open(this.#devices.value));
    addEventListener('blur', () => this.#letGo(), { signal });
    navigator.mediaDevices?.addEventListener('devicechange', () => void this.#listDevices(), { signal });
  }

  #keyed(event: KeyboardEvent): void {
    const [origin] = event.composedPath();
    const isV = event.key.toLowerCase() === 'v' && event.target === this.#host && origin !== this.#devices;
    const isPress = this.#isHold && origin === this.#button && (event.key === ' ' || event.key === 'Enter');
    if (!isV && !isPress) return;
    if (event.type === 'keyup') {
      // Else it would click.
      event.preventDefault();
      this.#letGo();
    } else if (!event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      if (event.repeat) return;
      if (this.#isHold) this.#hold();
      else this.#toggle();
    }
  }

  #toggle(): void {
    const { state } = this.#microphone;
    if (state === 'on') this.#microphone.mute();
    else if (state === 'starting') this.#microphone.stop();
    else void this.#open();
  }

  #hold(): void {
    this.#heldSinceMs = performance.now();
    void this.#open();
  }

  #letGo(): void {
    if (this.#heldSinceMs === undefined) return;
    const heldMs = performance.now() - this.#heldSinceMs;
    this.#heldSinceMs = undefined;
    // The viewer may let go to answer the browser's question.
    if (this.#microphone.state === 'starting') this.#microphone.stop();
    else this.#microphone.mute();
    if (heldMs < CLICK_MS && !this.#message.textContent) this.#say(this.#words(HOLD));
  }

  /** Opens it, or changes its device. */
  async #open(device?: string): Promise<void> {
    this.#say('');
    try {
      if (this.#microphone.state === 'muted' && device === undefined) this.#microphone.unmute();
      else await this.#microphone.start(device);
      this.#measure();
      await this.#listDevices();
    } catch (error) {
      this.#explain(error as MicrophoneError);
    }
  }

  /** The names of devices are known only with permission. */
  async #listDevices(): Promise<void> {
    const { stream } = this.#microphone;
    if (!stream) return;
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === 'audioinput');
    this.#devices.replaceChildren(...devices.map(({ deviceId, label }) => new Option(label, deviceId)));
    this.#devices.value = stream.getAudioTracks()[0]?.getSettings().deviceId ?? '';
    this.#devices.hidden = devices.length < 2;
  }

  #explain({ code, message }: MicrophoneError): void {
    this.#say(this.#words([message, ...PROBLEMS[code]]));
  }

  #say(words: string): void {
    this.#message.textContent = words;
  }

  #modeChanged(): void {
    if (this.#host.mic === null) this.#microphone.stop();
    else if (this.#isHold) this.#microphone.mute();
    this.#changed();
  }

  #changed(): void {
    const { state } = this.#microphone;
    const isOn = state === 'on';
    const name = this.#words(this.#isHold ? HOLD : NAME);
    this.#button.ariaLabel = name;
    this.#button.title = name;
    this.#button.ariaPressed = String(isOn);
    this.#button.ariaBusy = String(state === 'starting');
    this.#button.querySelector('path')?.setAttribute('d', isOn ? ICON : CROSSED);
    if (isOn) this.#states?.add('mic');
    else this.#states?.delete('mic');
    this.#measure();
  }

  /** Shows the level of what is recorded now: another device is another stream. */
  #measure(): void {
    const { state, stream } = this.#microphone;
    const measured = state === 'on' ? stream : undefined;
    if (measured === this.#measured) return;
    this.#measured = measured;
    this.#endLevel?.();
    this.#endLevel =
      measured &&
      measureLevel(measured, (level) => this.#button.style.setProperty('--human-cast-level', level.toFixed(2)));
  }
}

function isOver(state: SessionState): boolean {
  return state === 'ended' || state === 'failed';
}
