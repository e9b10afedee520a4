import type { IncomingMessage } from 'node:http';

/**
 * Whose request it is, to count by. Behind a proxy of our own it is the last address of `X-Forwarded-For`: the one that
 * proxy has added; those before it can be made up by the caller.
 */
export function clientAddress(request: IncomingMessage, trustProxy: boolean): string {
  const peer = request.socket.remoteAddress ?? 'unknown';
  if (!trustProxy) return peer;
  const header = request.headers['x-forwarded-for'];
  const list = Array.isArray(header) ? header.join(',') : (header ?? '');
  return list.split(',').at(-1)?.trim() || peer;
}
