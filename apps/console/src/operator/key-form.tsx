import { useState } from 'preact/hooks';

/** Asks for an API key, once per tab. */
export function KeyForm({ refused, onKey }: { refused: boolean; onKey: (key: string) => void }) {
  const [key, setKey] = useState('');
  return (
    <form
      class="card key-form"
      onSubmit={(event) => {
        event.preventDefault();
        if (key.trim() !== '') onKey(key.trim());
      }}
    >
      <h2>API key</h2>
      <p class="hint">The key that producers use. It is kept in this tab only.</p>
      <input
        type="password"
        aria-label="API key"
        autocomplete="off"
        autofocus
        value={key}
        onInput={(event) => setKey(event.currentTarget.value)}
      />
      {refused && (
        <p class="problem" role="alert">
          This key is not accepted.
        </p>
      )}
      <button type="submit" class="button primary" disabled={key.trim() === ''}>
        Continue
      </button>
    </form>
  );
}
