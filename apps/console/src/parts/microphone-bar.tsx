import './microphone-bar.css';
import type { Session } from '@humancast/client';
import { useEffect, useState } from 'preact/hooks';

/** What the avatar does. */
type Phase = 'Listening' | 'Thinking' | 'Speaking';

interface MicrophoneBarProps {
  session: Session;
  isHold: boolean;
  onHold: (isHold: boolean) => void;
}

/** For viewers who may speak: how the microphone's button on the player works, and what the avatar does. */
export function MicrophoneBar({ session, isHold, onHold }: MicrophoneBarProps) {
  const phase = usePhase(session);
  return (
    <section class="microphone" aria-label="Microphone">
      <label>
        <input type="checkbox" checked={isHold} onChange={({ currentTarget }) => onHold(currentTarget.checked)} />
        Hold to talk
      </label>
      <span class="microphone-phase" role="status">
        {phase}
      </span>
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
