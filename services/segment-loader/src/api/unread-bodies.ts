import type { IncomingMessage, Server, ServerResponse } from 'node:http';

/** Time that a rejected caller has to read the answer before its connection is cut, ms. */
const LINGER_MS = 5000;

/**
 * Reads and discards the rest of a request's body for a moment if the answer (a rejection) came before its end. Cutting the
 * connection at once would lose the answer (RFC 9112 §9.6); reading to the end would let anyone keep the service busy.
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
 * Answers callers that ask before sending a large body (`Expect: 100-continue`, RFC 9110 §10.1.1): uploads once they are
 * admitted, so that a rejection costs the caller nothing, and all other requests at once.
 */
export function answerExpectations(server: Server, uploadPath: string): void {
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    if (!(request.method === 'POST' && request.url?.startsWith(uploadPath))) response.writeContinue();
    server.emit('request', request, response);
  });
}
