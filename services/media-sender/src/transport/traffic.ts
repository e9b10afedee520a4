import type { TransportEvents, TransportStats, ViewerTransport } from './viewer-transport.js';

/** The counters that only grow. */
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
  'microphonePackets',
  'microphoneLost',
  'microphoneConcealedMs',
] as const;

/** Totals of all that a process has sent and heard, over open and closed connections. */
export class Traffic {
  readonly #open = new Set<ViewerTransport>();
  #closed = totalsOf(() => 0);

  /** Counts a transport from its creation until its events report that it is closed. */
  watch(events: TransportEvents, make: (watched: TransportEvents) => ViewerTransport): ViewerTransport {
    const transport = make({
      ...events,
      closed: (reason) => {
        // A closed transport sends no more, but what it has sent still counts.
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
