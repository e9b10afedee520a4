import type { Sender } from '@humancast/protocol';
import { ConfirmButton } from './confirm-button.js';
import { since } from './words.js';

/** Shows one media-sender's load, and a button to drain it. */
export function SenderCard({ sender, onDrain }: { sender: Sender; onDrain: () => void }) {
  const { id, hostname, sessions, capacity, viewers, draining, startedAtMs } = sender;
  return (
    <li class="card sender" data-draining={draining}>
      <div class="sender-head">
        <div>
          <h3>{hostname}</h3>
          <p class="hint mono">{id}</p>
        </div>
        {draining ? (
          <span class="badge">Draining</span>
        ) : (
          <ConfirmButton label="Drain" question="Move its sessions?" onConfirm={onDrain} />
        )}
      </div>
      <meter
        min={0}
        max={capacity}
        high={0.9 * capacity}
        value={sessions}
        aria-label={`${sessions} of ${capacity} sessions`}
      />
      <p class="hint">
        {sessions} of {capacity} sessions · {viewers} {viewers === 1 ? 'viewer' : 'viewers'} · up {since(startedAtMs)}
      </p>
    </li>
  );
}
