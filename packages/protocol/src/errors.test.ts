import { describe, expect, it } from 'vitest';
import { closeCodeOf, ERRORS, type ErrorCode } from './errors.js';

describe('ERRORS', () => {
  it('gives every code an HTTP error status, a title and a WebSocket close code of the private range', () => {
    for (const [code, { status, title }] of Object.entries(ERRORS)) {
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(600);
      expect(title).not.toBe('');
      // RFC 6455 §7.4.2
      expect(closeCodeOf(code as ErrorCode)).toBeGreaterThanOrEqual(4000);
      expect(closeCodeOf(code as ErrorCode)).toBeLessThan(5000);
    }
  });
});
