import { useEffect, useState } from 'preact/hooks';

const PATIENCE_MS = 4000;

/** A button that must be pressed twice, for actions that cannot be undone. */
export function ConfirmButton({
  label,
  question,
  onConfirm,
  disabled,
}: {
  label: string;
  question: string;
  onConfirm: () => void;
  disabled?: boolean;
}) {
  const [asking, setAsking] = useState(false);
  useEffect(() => {
    if (!asking) return;
    const timer = setTimeout(() => setAsking(false), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [asking]);
  return (
    <button
      type="button"
      class="button tool"
      data-danger={asking}
      disabled={disabled}
      onBlur={() => setAsking(false)}
      onClick={() => {
        setAsking(!asking);
        if (asking) onConfirm();
      }}
    >
      {asking ? question : label}
    </button>
  );
}
