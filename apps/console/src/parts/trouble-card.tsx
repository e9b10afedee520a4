import type { Trouble } from '../words.js';

const LABELS = { retry: 'Try again', restart: 'Start a new conversation', choose: 'See all avatars' } as const;

/** Shows an error and the action that may resolve it. */
export function TroubleCard({ trouble, onRetry }: { trouble: Trouble; onRetry: () => void }) {
  const { title, advice, action } = trouble;
  return (
    <div class="trouble" role="alert">
      <h2>{title}</h2>
      <p>{advice}</p>
      {action === 'choose' && (
        <a class="button primary" href=".">
          {LABELS.choose}
        </a>
      )}
      {(action === 'retry' || action === 'restart') && (
        <button type="button" class="button primary" onClick={onRetry}>
          {LABELS[action]}
        </button>
      )}
    </div>
  );
}
