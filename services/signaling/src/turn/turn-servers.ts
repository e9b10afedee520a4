import { createHash } from 'node:crypto';

/** The URIs of one TURN server: over UDP, TCP, TLS. */
export type TurnServer = readonly [url: string, ...more: string[]];

/** Groups TURN URIs (RFC 7065) by host: one host is one server, whatever the port and transport. */
export function groupByHost(urls: readonly string[]): TurnServer[] {
  const groups = new Map<string, [string, ...string[]]>();
  for (const url of urls) {
    const group = groups.get(hostOf(url));
    if (group) group.push(url);
    else groups.set(hostOf(url), [url]);
  }
  return [...groups.values()];
}

/**
 * @returns The servers for viewers. While all of `urls` are on loopback, `localUrls` are further URIs of that one server,
 * because Firefox rejects TURN servers on loopback.
 */
export function turnServers(urls: readonly string[], localUrls: readonly string[]): TurnServer[] {
  const [first, ...more] = urls;
  if (first !== undefined && localUrls.length > 0 && urls.every(isLoopback)) return [[first, ...more, ...localUrls]];
  return groupByHost(urls);
}

/**
 * @param failures Number of the viewer's connections that have failed, each of which leads to the next server.
 * @returns A viewer's server: the same in every signaling process and after every restart, without stored state. If a
 * server is removed, only its viewers move (rendezvous hashing: Thaler & Ravishankar, 1998).
 */
export function serverOf(viewer: string, servers: readonly TurnServer[], failures = 0): TurnServer | undefined {
  const weighted = servers.map((server) => ({ server, weight: weightOf(viewer, server) }));
  weighted.sort((a, b) => (a.weight < b.weight ? 1 : -1));
  return weighted[failures % servers.length]?.server;
}

function weightOf(viewer: string, [url]: TurnServer): string {
  return createHash('sha256')
    .update(`${hostOf(url)} ${viewer}`)
    .digest('hex');
}

function isLoopback(url: string): boolean {
  return /^(127\.[\d.]+|localhost|\[::1\])$/.test(hostOf(url));
}

function hostOf(url: string): string {
  const match = /^turns?:(\[[^\]]*\]|[^:?]*)/i.exec(url);
  return (match?.[1] ?? url).toLowerCase();
}
