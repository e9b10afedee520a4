import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Origins } from './origins.js';

const EXPOSED = 'Accept-Patch, Accept-Post, ETag, Link, Location, Retry-After';
const METHODS = 'GET, POST, PATCH, DELETE, OPTIONS';
const REQUEST_HEADERS = 'Authorization, Content-Type, If-Match, Last-Event-ID';
const PREFLIGHT_SECONDS = '600';

/**
 * Answers cross-origin requests (Fetch standard, §3.2) of allowed origins; others get no header, so browsers block the
 * response.
 */
export function cors(origins: Origins) {
  return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    const { origin } = request.headers;
    if (origin === undefined) {
      next();
      return;
    }
    response.appendHeader('vary', 'Origin');
    const allowed = origins.allows(request);
    if (allowed) {
      response.setHeader('access-control-allow-origin', origin);
      response.setHeader('access-control-expose-headers', EXPOSED);
    }
    const preflight = request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
    if (!preflight) {
      next();
      return;
    }
    if (allowed) {
      response.setHeader('access-control-allow-methods', METHODS);
      response.setHeader('access-control-allow-headers', REQUEST_HEADERS);
      response.setHeader('access-control-max-age', PREFLIGHT_SECONDS);
    }
    // WHEP requires Accept-Post in every answer to OPTIONS, including a preflight (draft-ietf-wish-whep §4.3).
    if (request.url?.startsWith('/whep/')) response.setHeader('accept-post', 'application/sdp');
    response.writeHead(200, { 'content-length': '0' }).end();
  };
}
