import type { SessionState } from '@humancast/client';
import type { ComponentChildren, RefObject } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { isConnected, stateWords } from '../words.js';
import { ExpandIcon, PlayIcon, SoundOffIcon, SoundOnIcon, StopIcon } from './icons.js';

const DEFAULT_ASPECT = 4 / 3;
/** Renditions of one video differ by rounding. */
const ASPECT_TOLERANCE = 0.02;

/** Whether two aspect ratios are equal; an unknown one equals any. */
function hasSameShape(a: number | undefined, b: number | undefined): boolean {
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
  /** Content that covers the video when there is none. */
  children?: ComponentChildren;
}

/** The video with its controls. M toggles the sound, Escape interrupts. */
export function Player(props: PlayerProps) {
  const { video, name, state, waitingPosition, preparing, speaking, onInterrupt, onUnmute, onMute, onPlay, children } =
    props;
  const [muted, setMuted] = useState(true);
  // The first video sets the shape of the box; later ones of another shape are fitted into it.
  const [aspect, setAspect] = useState<number | undefined>(undefined);
  const [videoAspect, setVideoAspect] = useState<number | undefined>(undefined);
  const connected = isConnected(state);
  const paused = state === 'paused';
  // Reads the element itself, because a key may be pressed before this component has rendered a change.
  const toggleSound = () => (video.current?.muted ? void onUnmute() : onMute());

  useEffect(() => {
    const element = video.current;
    if (!element) return;
    const onVolumeChange = () => setMuted(element.muted);
    const sized = () => {
      if (element.videoHeight === 0) return;
      const current = element.videoWidth / element.videoHeight;
      setAspect((first) => first ?? current);
      setVideoAspect(current);
    };
    element.addEventListener('volumechange', onVolumeChange);
    element.addEventListener('resize', sized);
    return () => {
      element.removeEventListener('volumechange', onVolumeChange);
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
      data-fit={hasSameShape(videoAspect, aspect) ? 'cover' : 'contain'}
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
