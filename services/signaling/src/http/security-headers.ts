import type { IncomingMessage, ServerResponse } from 'node:http';

/** The page that other sites may frame. */
const EMBED = /^\/embed(\.html)?($|\?)/;

/**
 * Adds security headers to every response. Pages load only from this server; their URLs hold tokens, hence no referrer.
 * @param embedAncestors Origins that may frame {@link EMBED}; nobody else may frame anything.
 */
export function securityHeaders({ embedAncestors }: { readonly embedAncestors: readonly string[] }) {
  const embedders = embedAncestors.length > 0 ? embedAncestors.join(' ') : "'none'";
  return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    const ancestors = EMBED.test(request.url ?? '') ? embedders : "'self'";
    response.setHeader('content-security-policy', contentSecurityPolicy(request.headers.host, ancestors));
    response.setHeader('referrer-policy', 'no-referrer');
    response.setHeader('x-content-type-options', 'nosniff');
    response.setHeader('cross-origin-opener-policy', 'same-origin');
    response.setHeader('permissions-policy', 'camera=(), geolocation=(), payment=()');
    next();
  };
}

function contentSecurityPolicy(host: string | undefined, ancestors: string): string {
  // Safari before 15.4 does not count ws: as 'self'.
  const sockets = host !== undefined && /^[\w.:[\]-]+$/.test(host) ? ` ws://${host} wss://${host}` : '';
  return [
    "default-src 'self'",
    `connect-src 'self'${sockets}`,
    "img-src 'self' data: blob:",
    "media-src 'self' blob:",
    "style-src 'self' 'unsafe-inline'",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    `frame-ancestors ${ancestors}`,
  ].join('; ');
}
