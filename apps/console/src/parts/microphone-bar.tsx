import './microphone-bar.css';
import type { Session } from '@humancast/client';
import { useEffect, useState } from 'preact/hooks';
import { useMicrophone } from '../use-microphone.js';

/** What the avatar does. */
type Phase = 'Listening' | 'Thinking' | 'Speaking';

/** A viewer's microphone: held to talk, or open; with its device, its level, and what the avatar does. */
export function MicrophoneBar({ session }: { session: Session }) {
  const [{ state, problem, devices, level }, controls] = useMicrophone(session);
  const [isHeld, setHeld] = useState(false);
  const phase = usePhase(session);
  const isOpen = state === 'on' && !isHeld;

  const hold = () => {
    setHeld(true);
    void controls.open();
  };
  const letGo = () => {
    if (!isHeld) return;
    setHeld(false);
    // The viewer may let go to answer the browser's question.
    if (state === 'starting') controls.close();
    else controls.mute();
  };

  return (
    <section class="microphone" aria-label="Microphone">
      <div class="microphone-controls">
        <button
          type="button"
          class="button"
          aria-pressed={isHeld}
          disabled={isOpen}
          onPointerDown={hold}
          onPointerUp={letGo}
          onPointerLeave={letGo}
          onKeyDown={({ key, repeat }) => (key === ' ' || key === 'Enter') && !repeat && hold()}
          onKeyUp={letGo}
          onBlur={letGo}
        >
          Hold to talk
        </button>
        <button
          type="button"
          class="button"
          aria-pressed={isOpen}
          disabled={isHeld || state === 'starting'}
          onClick={() => (isOpen ? controls.mute() : void controls.open())}
        >
          {isOpen ? 'Mute' : 'Open microphone'}
        </button>
        {(state === 'on' || state === 'muted') && !isHeld && (
          <button type="button" class="button" onClick={controls.close}>
            Turn off
          </button>
        )}
        <meter class="microphone-level" aria-label="Level" min={0} max={1} value={level} />
        <span class="microphone-phase" role="status">
          {phase}
        </span>
      </div>
      {devices.length > 1 && (
        <select aria-label="Device" onChange={(event) => void controls.open(event.currentTarget.value)}>
          {devices.map(({ deviceId, label }) => (
            <option key={deviceId} value={deviceId}>
              {label}
            </option>
          ))}
        </select>
      )}
      {problem !== undefined && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
    </section>
  );
}

function usePhase(session: Session): Phase | undefined {
  const [phase, setPhase] = useState<Phase | undefined>(undefined);
  useEffect(
    () =>
      session.on('event', ({ type }) => {
        if (type === 'viewer.speaking') setPhase('Listening');
        else if (type === 'viewer.silent') setPhase((now) => (now === 'Listening' ? 'Thinking' : now));
        else if (type === 'speech.started') setPhase('Speaking');
        else if (type === 'speech.finished') setPhase((now) => (now === 'Speaking' ? undefined : now));
      }),
    [session],
  );
  return phase;
}
