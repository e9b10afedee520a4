import { connect, createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createRegistry } from './metrics.js';
import { countStates, readSummary, tcpSockets } from './tcp-sockets.js';

const HEADING = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const row = (state: string) =>
  `   0: 0100007F:1F90 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 1 1\n`;

describe('tcpSockets()', () => {
  it("counts the sockets of the kernel's table", () => {
    const counts: Record<string, number> = {};
    countStates(Buffer.from(HEADING + row('0A') + row('01') + row('06') + row('06')), counts);
    expect(counts).toEqual({ listen: 1, established: 1, time_wait: 2 });
  });

  it('counts both families, up to where a table is cut off', () => {
    const counts: Record<string, number> = {};
    const address = '0000000000000000FFFF00000100007F:1F90';
    const row6 = `1234: ${address} ${address} 08 00000000:00000000 00:00000000 00000000     0        0 1 1\n`;
    for (const part of [row6, row6.slice(0, 6), row6.slice(0, 40), row6.slice(0, 82), '1']) {
      countStates(Buffer.from(HEADING + row6 + part), counts);
    }
    expect(counts).toEqual({ close_wait: 6 });
  });

  it('returns none for an empty table', () => {
    const counts: Record<string, number> = {};
    countStates(Buffer.from(HEADING), counts);
    countStates(Buffer.alloc(0), counts);
    expect(counts).toEqual({});
  });

  it("returns the kernel's sums", () => {
    const text = 'sockets: used 290\nTCP: inuse 12 orphan 1 tw 34 alloc 15 mem 2\nUDP: inuse 3 mem 1\n';
    expect(readSummary(text)).toEqual({ in_use: 12, orphan: 1, time_wait: 34 });
  });

  it.runIf(process.platform === 'linux')('are on every service’s metrics, a real connection among them', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const before = await tcpSockets();
    const socket = connect(port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    expect(before['listen']).toBeGreaterThan(0);
    expect(await createRegistry('test').metrics()).toMatch(
      /humancast_tcp_sockets\{state="established",service="test"\} [1-9]/,
    );
    socket.destroy();
    server.close();
  });
});
