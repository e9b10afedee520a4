import type { Duplex } from 'node:stream';
import { type HumancastError, toProblem } from './humancast-error.js';

/** Answers a request for a WebSocket with a problem document (RFC 9457), and closes the connection. */
export function rejectUpgrade(socket: Duplex, error: HumancastError): void {
  const body = JSON.stringify(toProblem(error));
  const head = [
    `HTTP/1.1 ${error.status} ${error.code}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...(error.retryAfterSeconds === undefined ? [] : [`retry-after: ${error.retryAfterSeconds}`]),
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
