import { describe, expect, it } from 'vitest';
import { Traffic } from './traffic.js';
import type { TransportEvents, TransportStats, ViewerTransport } from './viewer-transport.js';

const QUIET: TransportEvents = { connected() {}, closed() {}, keyframeNeeded() {}, feedback() {}, heard() {} };

/** A connection with counters and a close() only. */
class FakeTransport {
  readonly events: TransportEvents;
  packetsSent = 0;

  constructor(events: TransportEvents) {
    this.events = events;
  }

  stats(): TransportStats {
    const { packetsSent } = this;
    return {
      packetsSent,
      bytesSent: 1000 * packetsSent,
      packetsDropped: 0,
      retransmitted: 1,
      retransmittedBytes: 1000,
      nacks: 2,
      plis: 3,
      audioPackets: 4,
      redundantPackets: 3,
      redundancyBytes: 200,
      audioRetransmitted: 1,
      audioNacks: 1,
      microphonePackets: 6,
      microphoneLost: 5,
      microphoneConcealedMs: 40,
      roundTripMs: 4,
      estimateBps: 5,
      estimateSource: 'remb',
      remoteAddress: undefined,
    };
  }
}

describe('Traffic', () => {
  it('totals open and closed connections, each once, and never decreases', () => {
    const traffic = new Traffic();
    const transports: FakeTransport[] = [];
    const closings: string[] = [];
    const events = { ...QUIET, closed: (reason: string) => closings.push(reason) };
    for (const packets of [10, 20]) {
      traffic.watch(events, (watched) => {
        const transport = new FakeTransport(watched);
        transport.packetsSent = packets;
        transports.push(transport);
        return transport as unknown as ViewerTransport;
      });
    }
    expect(traffic.totals()).toMatchObject({
      packetsSent: 30,
      bytesSent: 30_000,
      retransmitted: 2,
      retransmittedBytes: 2000,
      nacks: 4,
      plis: 6,
      redundancyBytes: 400,
      audioNacks: 2,
    });
    transports[0]?.events.closed('silent');
    transports[0]?.events.closed('silent');
    expect(traffic.totals()).toMatchObject({ packetsSent: 30, plis: 6 });
    expect(closings).toEqual(['silent', 'silent']);
    if (transports[1]) transports[1].packetsSent = 25;
    expect(traffic.totals().packetsSent).toBe(35);
  });
});
