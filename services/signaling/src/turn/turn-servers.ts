import { createHash } from 'node:crypto';

/** The ways to reach one TURN server: over UDP, TCP, TLS. */
export type TurnServer = readonly [url: string, ...more: string[]];

/** Groups TURN URIs (RFC 7065) by host: those of one host lead to one server, whatever the port and transport. */
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
 * A session's server: the same in every signaling process and after every restart, without anything being stored; when one
 * is taken off the list, only its sessions go elsewhere (rendezvous hashing: Thaler & Ravishankar, 1998).
 */
export function serverOf(session: string, servers: readonly TurnServer[]): TurnServer | undefined {
  let best: TurnServer | undefined;
  let highest = '';
  for (const server of servers) {
    const weight = createHash('sha256')
      .update(`${hostOf(server[0])} ${session}`)
      .digest('hex');
    if (weight > highest) {
      highest = weight;
      best = server;
    }
  }
  return best;
}

function hostOf(url: string): string {
  const match = /^turns?:(\[[^\]]*\]|[^:?]*)/i.exec(url);
  return (match?.[1] ?? url).toLowerCase();
}
