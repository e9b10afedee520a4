import type { SessionState } from '@humancast/client';
import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { isConnected, stateWords } from '../words.js';
import { ExpandIcon, PlayIcon, SoundOffIcon, SoundOnIcon, StopIcon } from './icons.js';

const DEFAULT_ASPECT = 4 / 3;
/** Renditions of one picture differ by a rounded pixel. */
const ASPECT_TOLERANCE = 0.02;

/** Whether two pictures have the same shape; one that is not known yet has any. */
function isLike(a: number | undefined, b: number | undefined): boolean {
  return a === undefined || b === undefined || Math.abs(a / b - 1) < ASPECT_TOLERANCE;
}

interface PlayerProps {
  video: RefObject<HTMLVideoElement | null>;
  name: string;
  state: SessionState;
  waitingPosition: number | undefined;
  preparing: boolean;
  speaking: string | undefined;
  onInterrupt: () => void;
  onUnmute: () => Promise<boolean>;
  onMute: () => void;
  onPlay: () => Promise<boolean>;
  /** What covers the picture when there will be none. */
  children?: ComponentChildren;
}

/** The avatar, and the few things one wants to do to it. `m` turns the sound on and off, Escape interrupts. */
export function Player(props: PlayerProps) {
  const { video, name, state, waitingPosition, preparing, speaking, onInterrupt, onUnmute, onMute, onPlay, children } =
    props;
  const [muted, setMuted] = useState(true);
  // The first picture gives the box its shape; later ones of another shape are fitted into it.
  const [aspect, setAspect] = useState<number | undefined>(undefined);
  const [pictureAspect, setPictureAspect] = useState<number | undefined>(undefined);
  const connected = isConnected(state);
  const paused = state === 'paused';
  // By the element itself: a key pressed right after a click comes before this component knows of the change.
  const toggleSound = () => (video.current?.muted ? void onUnmute() : onMute());

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    const heard = () => setMuted(element.muted);
    const sized = () => {
      if (element.videoHeight === 0) return;
      const current = element.videoWidth / element.videoHeight;
      setAspect((first) => first ?? current);
      setPictureAspect(current);
    };
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
    <div
      class="player"
      style={{ '--aspect': (aspect ?? DEFAULT_ASPECT).toFixed(4) }}
      data-state={state}
      data-fit={isLike(pictureAspect, aspect) ? 'cover' : 'contain'}
    >
      <video ref={video} muted playsInline aria-label={`${name}, live`} />
      {!children && !connected && (
        <div class="veil" aria-hidden="true">
          <span class="spinner" />
        </div>
      )}
      {children && <div class="cover">{children}</div>}
      <p class="pill" data-state={state} role="status">
        <span class="dot" />
        {words}
      </p>
      {paused && (
        <button type="button" class="button unmute" onClick={() => void onPlay()}>
          <PlayIcon />
          Tap to play
        </button>
      )}
      {connected && !paused && muted && (
        <button type="button" class="button unmute" onClick={toggleSound}>
          <SoundOffIcon />
          Turn on sound
        </button>
      )}
      {connected && (
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
