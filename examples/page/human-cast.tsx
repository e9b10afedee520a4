/** `<human-cast>` as a React component, with any version that has hooks. */
import '@humancast/element/define';
import type { HumanCastElement, SessionState } from '@humancast/element';
import { useEffect, useRef } from 'react';

interface HumanCastProps {
  src: string;
  session: string;
  token: string;
  /** For an avatar without a background. */
  transparent?: boolean;
  captions?: boolean;
  /** A button for the microphone: `''` to switch it on and off, `'hold'` to talk while it is held. Default: none. */
  mic?: '' | 'hold' | null;
  onState?: (state: SessionState | undefined) => void;
}

export function HumanCast({
  src,
  session,
  token,
  transparent = false,
  captions = false,
  mic = null,
  onState,
}: HumanCastProps) {
  const host = useRef<HTMLDivElement>(null);
  const cast = useRef<HumanCastElement>(null);
  useEffect(() => {
    const element = document.createElement('human-cast');
    element.controls = true;
    host.current?.append(element);
    cast.current = element;
    return () => element.remove();
  }, []);
  useEffect(() => {
    cast.current?.toggleAttribute('transparent', transparent);
    if (cast.current) Object.assign(cast.current, { src, session, token, captions, mic });
  }, [src, session, token, transparent, captions, mic]);
  useEffect(() => {
    const left = new AbortController();
    cast.current?.addEventListener('statechange', ({ detail }) => onState?.(detail ?? undefined), {
      signal: left.signal,
    });
    return () => left.abort();
  }, [onState]);
  return <div ref={host} />;
}
