/** How long ago, as a person would say it: `12 s`, `4 min`, `3 h`, `2 d`. */
export function since(atMs: number, nowMs: number = Date.now()): string {
  const seconds = Math.max(0, Math.round((nowMs - atMs) / 1000));
  if (seconds < 90) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.round(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} d`;
}

/** With a sign, and the minus of the same width as the plus. */
export function signed(value: number | undefined): string {
  if (value === undefined) return '–';
  const rounded = Math.round(value);
  if (rounded === 0) return '0';
  return `${rounded > 0 ? '+' : '−'}${Math.abs(rounded)}`;
}

export function whole(value: number | undefined): string {
  return value === undefined ? '–' : String(Math.round(value));
}
