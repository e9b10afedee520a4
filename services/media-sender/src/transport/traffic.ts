import type { TransportEvents, TransportStats, ViewerTransport } from './viewer-transport.js';

/** What only ever grows. */
export type TrafficTotals = Pick<TransportStats, (typeof COUNTS)[number]>;

const COUNTS = [
  'packetsSent',
  'bytesSent',
  'packetsDropped',
  'retransmitted',
  'retransmittedBytes',
  'nacks',
  'plis',
  'audioPackets',
  'redundantPackets',
  'redundancyBytes',
  'audioRetransmitted',
  'audioNacks',
] as const;

/** All that a process has sent, over every connection it has and had. */
export class Traffic {
  readonly #open = new Set<ViewerTransport>();
  #closed = totalsOf(() => 0);

  /** Counts a transport from its making to its end, of which its events tell. */
  watch(events: TransportEvents, make: (watched: TransportEvents) => ViewerTransport): ViewerTransport {
    const transport = make({
      ...events,
      closed: (reason) => {
        // It sends no more; what it has sent still counts.
        if (this.#open.delete(transport)) this.#closed = sum(this.#closed, transport.stats());
        events.closed(reason);
      },
    });
    this.#open.add(transport);
    return transport;
  }

  totals(): TrafficTotals {
    let totals = this.#closed;
    for (const transport of this.#open) totals = sum(totals, transport.stats());
    return totals;
  }
}

function sum(a: TrafficTotals, b: TrafficTotals): TrafficTotals {
  return totalsOf((count) => a[count] + b[count]);
}

function totalsOf(read: (count: keyof TrafficTotals) => number): TrafficTotals {
  return Object.fromEntries(COUNTS.map((count) => [count, read(count)])) as TrafficTotals;
}
