/** Formats an age: `12 s`, `4 min`, `3 h`, `2 d`. */
export function since(atMs: number, nowMs: number = Date.now()): string {
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}

/** Formats with a sign; the minus is as wide as the plus. */
export function signed(value: number | undefined): string {
  if (value === undefined) return '–';
  const rounded = Math.round(value);
  if (rounded === 0) return '0';
  return `${rounded > 0 ? '+' : '−'}${Math.abs(rounded)}`;
}

export function whole(value: number | undefined): string {
  return value === undefined ? '–' : String(Math.round(value));
}
