import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/** A caller who is refused gets this long to notice before the connection is cut. */
const LINGER_MS = 5000;

/**
 * After an answer that came before the whole body (a refusal), the rest is read and thrown away for a moment: cut at once,
 * the answer would be lost with the connection (RFC 9112 §9.6); read to its end, anyone could keep us busy.
 */
export function lingerOnUnreadBody(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  response.once('finish', () => {
    if (request.complete) return;
    request.resume();
    const cut = setTimeout(() => request.socket.destroy(), LINGER_MS);
    request.once('close', () => clearTimeout(cut)).once('end', () => clearTimeout(cut));
  });
  next();
}

/**
 * Callers that ask before they send a large body (`Expect: 100-continue`, RFC 9110 §10.1.1) are answered when the upload is
 * wanted, so that a refusal costs them nothing; anything else may come at once.
 */
export function answerExpectations(server: Server, uploadPath: string): void {
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (!(request.method === 'POST' && request.url?.startsWith(uploadPath))) response.writeContinue();
    server.emit('request', request, response);
  });
}
