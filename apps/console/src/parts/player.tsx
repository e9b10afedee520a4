import type { HumanCastElement } from '@humancast/element';
import type { ComponentChildren, HTMLAttributes, RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { BASE_URL } from '../api.js';

const DEFAULT_ASPECT = 4 / 3;

interface PlayerProps {
  cast: RefObject<HumanCastElement | null>;
  name: string;
  mic: '' | 'hold';
  preparing: boolean;
  /** Replaces the element's own message. */
  children?: ComponentChildren;
}

/** `<human-cast>`, with its keys for the whole page: M toggles the sound, C the captions, Escape interrupts. */
export function Player({ cast, name, mic, preparing, children }: PlayerProps) {
  // The first video sets the shape of the box; the element fits later ones of another shape into it.
  const [aspect, setAspect] = useState<number | undefined>(undefined);

  useEffect(() => {
    const element = cast.current;
    const sized = () => {
      if (element?.videoHeight) setAspect((first) => first ?? element.videoWidth / element.videoHeight);
    };
    element?.addEventListener('resize', sized);
    return () => element?.removeEventListener('resize', sized);
  }, [cast]);

  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const element = cast.current;
      // The element itself handles keys while it has the focus.
      if (!element || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (!(event.target instanceof HTMLInputElement)) {
        if (event.key === 'm') element.muted = !element.muted;
        if (event.key === 'c') element.captions = !element.captions;
      }
      if (event.key === 'Escape' && !document.fullscreenElement) element.interrupt();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  }, [cast]);

  const message = preparing ? <p class="preparing">Getting ready</p> : children;
  return (
    <div class="player" style={{ '--aspect': (aspect ?? DEFAULT_ASPECT).toFixed(4) }}>
      <human-cast
        ref={cast}
        src={BASE_URL.href}
        fit="cover"
        controls
        captions
        mic={mic}
        defaultMuted
        aria-label={`${name}, live`}
      >
        {message && <div slot="message">{message}</div>}
      </human-cast>
    </div>
  );
}

declare module 'preact' {
  namespace JSX {
    interface IntrinsicElements {
      'human-cast': HTMLAttributes<HumanCastElement> &
        Partial<Pick<HumanCastElement, 'src' | 'fit' | 'controls' | 'captions' | 'mic' | 'defaultMuted'>>;
    }
  }
}
