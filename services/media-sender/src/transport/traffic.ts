import type { TransportEvents, TransportStats, ViewerTransport } from './viewer-transport.js';

/** What only ever grows. */
export type TrafficTotals = Pick<
  TransportStats,
  'packetsSent' | 'bytesSent' | 'packetsDropped' | 'retransmitted' | 'nacks' | 'plis'
>;

/** All that a process has sent, over every connection it has and had. */
export class Traffic {
  readonly #open = new Set<ViewerTransport>();
  #closed: TrafficTotals = { packetsSent: 0, bytesSent: 0, packetsDropped: 0, retransmitted: 0, nacks: 0, plis: 0 };

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
  return {
    packetsSent: a.packetsSent + b.packetsSent,
    bytesSent: a.bytesSent + b.bytesSent,
    packetsDropped: a.packetsDropped + b.packetsDropped,
    retransmitted: a.retransmitted + b.retransmitted,
    nacks: a.nacks + b.nacks,
    plis: a.plis + b.plis,
  };
}
