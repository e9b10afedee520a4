import type { Session, SessionEvent, SessionState } from '@humancast/client';
import { type CaptionPage, pagesOf } from './caption-pages.js';
import type { HumanCastElement } from './human-cast-element.js';
import type { Words } from './words.js';

const CAPTIONS = ['Captions', 'Untertitel', 'Subtítulos', 'Sous-titres', '字幕', '字幕'];
const ICON = 'M4 5h16v14H4zM10.5 10.5a2.1 2.1 0 1 0 0 3M17 10.5a2.1 2.1 0 1 0 0 3';
/** Time for which the last words stay after they were said, ms. */
const LINGER_MS = 2000;

/** The text is clear of the controls, and of the button that turns on the sound. */
const STYLES = `.captions{position:absolute;inset:16px;display:flex;align-items:end;justify-content:center;overflow:hidden;
pointer-events:none}
:host(:not([captions])) .captions{display:none}
.bar:not([hidden])~.captions{bottom:68px}
[part~=captions]{max-width:30em;overflow-wrap:anywhere;text-align:center;text-wrap:balance;border-radius:.4em;
color:var(--human-cast-captions-color,#fff);background:var(--human-cast-captions-background,rgb(15 16 18/.8));
font-size:var(--human-cast-captions-size,clamp(14px,3cqi,30px))}
[part~=captions]:not(:empty){padding:.2em .6em}
[aria-pressed=true]{background:#fff;color:#16181a}
@container (width<760px){.bottom:not([hidden])~.captions{bottom:120px}}`;

/** Captions of the sessions that have text. */
const shown = new WeakMap<Session, Captions>();

/** Shows a session's text as captions. Call it with each event from the first text on. */
export function caption(host: HumanCastElement, session: Session, words: Words, event: SessionEvent): void {
  if (isOver(session.state)) return;
  const captions = shown.get(session) ?? new Captions(host, session);
  shown.set(session, captions);
  captions.name(words(CAPTIONS));
  captions.happened(event);
}

/** Words over the lower edge of the video, and the button that shows and hides them. Removed when the session is over. */
class Captions {
  readonly #host: HumanCastElement;
  readonly #text = document.createElement('div');
  readonly #button: HTMLButtonElement;
  /** The speech whose text is shown. */
  #seq = 0;
  /** The last speech that an interruption has ended; its host may still tell text of it. */
  #interruptedSeq = 0;
  /** Whether the viewer has interrupted, and the server has not yet confirmed it: what is told now will not be heard. */
  #hushed = false;
  /** The page that is shown, and those that follow. */
  #pages: readonly CaptionPage[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(host: HumanCastElement, session: Session) {
    this.#host = host;
    const root = host.shadowRoot as ShadowRoot;
    this.#text.part.add('captions');
    this.#text.dir = 'auto';
    this.#text.role = 'log';
    const box = document.createElement('div');
    box.className = 'captions';
    box.append(this.#text);
    const bar = root.querySelector('.bar') as HTMLElement;
    bar.after(box);
    // An icon needs no HTML, which pages with Trusted Types reject, if it is another button's with another path.
    this.#button = bar.querySelector('[part~=fullscreen]')?.cloneNode(true) as HTMLButtonElement;
    this.#button.setAttribute('part', 'button toggle-captions');
    this.#button.querySelector('path')?.setAttribute('d', ICON);
    this.#button.hidden = false;
    this.#button.onclick = () => this.#toggle();
    bar.querySelector('.volume')?.after(this.#button);

    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
    root.adoptedStyleSheets.push(sheet);
    const attributes = new MutationObserver(() => this.#render());
    attributes.observe(host, { attributeFilter: ['captions'] });
    const left = new AbortController();
    host.addEventListener('volumechange', () => this.#render(), { signal: left.signal });
    host.addEventListener('keydown', (event) => this.#pressed(event), { signal: left.signal });
    this.#render();
    session.on('hush', (active) => {
      this.#hushed = active;
      if (active) this.#clear();
    });
    session.on('state', (state) => {
      if (!isOver(state)) return;
      this.#clear();
      attributes.disconnect();
      left.abort();
      box.remove();
      this.#button.remove();
      root.adoptedStyleSheets = root.adoptedStyleSheets.filter((each) => each !== sheet);
    });
  }

  name(words: string): void {
    this.#text.ariaLabel = words;
    this.#button.ariaLabel = words;
    this.#button.title = words;
  }

  happened(event: SessionEvent): void {
    if (event.type === 'speech.text' && event.seq > this.#interruptedSeq) {
      this.#seq = event.seq;
      if (!this.#hushed) this.#show(pagesOf(event.text, event.untilMs - event.positionMs));
    } else if (event.type === 'session.interrupted') {
      this.#interruptedSeq = event.interruptedSeq;
      this.#clear();
    } else if (event.type === 'speech.finished' && event.seq === this.#seq) {
      if (event.interrupted) this.#clear();
      else this.#show(this.#pages.slice(-1).map(({ text }) => ({ text, durationMs: 0 })));
    }
  }

  /** Shows one page after the other; the last one stays for a while. */
  #show(pages: readonly CaptionPage[]): void {
    clearTimeout(this.#timer);
    this.#pages = pages;
    const [page, ...following] = pages;
    if (!page) return;
    // What is there already is not read out again.
    if (this.#text.textContent !== page.text) this.#text.textContent = page.text;
    this.#timer =
      following.length > 0
        ? setTimeout(() => this.#show(following), page.durationMs)
        : setTimeout(() => this.#clear(), page.durationMs + LINGER_MS);
  }

  #clear(): void {
    clearTimeout(this.#timer);
    this.#pages = [];
    this.#text.textContent = '';
  }

  #render(): void {
    this.#button.ariaPressed = String(this.#host.captions);
    // A screen reader would talk over the avatar, so it reads the captions only while nobody hears that.
    this.#text.ariaLive = this.#host.muted || this.#host.volume === 0 ? 'polite' : 'off';
  }

  #toggle(): void {
    this.#host.captions = !this.#host.captions;
  }

  #pressed(event: KeyboardEvent): void {
    if (
      event.key !== 'c' ||
      event.target !== this.#host ||
      !this.#host.controls ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey
    )
      return;
    event.preventDefault();
    this.#toggle();
  }
}

function isOver(state: SessionState): boolean {
  return state === 'ended' || state === 'failed';
}
