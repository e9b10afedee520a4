import type { SessionState } from '@humancast/client';
import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { stateWords } from '../words.js';
import { ExpandIcon, SoundOffIcon, SoundOnIcon, StopIcon } from './icons.js';

interface StageProps {
  video: RefObject<HTMLVideoElement | null>;
  name: string;
  state: SessionState;
  waitingPosition: number | undefined;
  preparing: boolean;
  speaking: string | undefined;
  onInterrupt: () => void;
  onUnmute: () => Promise<boolean>;
  onMute: () => void;
  /** What covers the picture when there will be none. */
  children?: ComponentChildren;
}

/** The avatar, and the few things one wants to do to it. `m` turns the sound on and off, Escape interrupts. */
export function Stage(props: StageProps) {
  const { video, name, state, waitingPosition, preparing, speaking, onInterrupt, onUnmute, onMute, children } = props;
  const [muted, setMuted] = useState(true);
  const [aspect, setAspect] = useState(4 / 3);
  const playing = state === 'playing';
  // By the element itself: a key pressed right after a click comes before this component knows of the change.
  const toggleSound = () => (video.current?.muted ? void onUnmute() : onMute());

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    const heard = () => setMuted(element.muted);
    const sized = () => element.videoHeight > 0 && setAspect(element.videoWidth / element.videoHeight);
    element.addEventListener('volumechange', heard);
    element.addEventListener('resize', sized);
    return () => {
      element.removeEventListener('volumechange', heard);
      element.removeEventListener('resize', sized);
    };
  }, [video]);

  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || document.fullscreenElement) return;
      if (event.key === 'm' && !(event.target instanceof HTMLInputElement)) toggleSound();
      if (event.key === 'Escape') onInterrupt();
    };
    addEventListener('keydown', pressed);
    return () => removeEventListener('keydown', pressed);
  });

  const words = preparing ? 'Getting ready' : stateWords(state, waitingPosition);
  return (
    <div class="stage" style={{ '--aspect': aspect.toFixed(4) }} data-state={state}>
      <video ref={video} muted playsInline aria-label={`${name}, live`} />
      {!children && state !== 'playing' && (
        <div class="veil" aria-hidden="true">
          <span class="spinner" />
        </div>
      )}
      {children && <div class="cover">{children}</div>}
      <p class="pill" data-state={state} role="status">
        <span class="dot" />
        {words}
      </p>
      {playing && muted && (
        <button type="button" class="button unmute" onClick={toggleSound}>
          <SoundOffIcon />
          Turn on sound
        </button>
      )}
      {playing && (
        <div class="controls">
          {speaking !== undefined && (
            <button type="button" class="button round stop" title="Interrupt (Esc)" onClick={onInterrupt}>
              <StopIcon />
              Interrupt
            </button>
          )}
          <span class="gap" />
          {!muted && (
            <button
              type="button"
              class="button round"
              title="Sound off (m)"
              aria-label="Sound off"
              onClick={toggleSound}
            >
              <SoundOnIcon />
            </button>
          )}
          {document.fullscreenEnabled && (
            <button
              type="button"
              class="button round"
              title="Full screen"
              aria-label="Full screen"
              onClick={() => void video.current?.requestFullscreen()}
            >
              <ExpandIcon />
            </button>
          )}
        </div>
      )}
    </div>
  );
}
