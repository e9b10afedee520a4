import { readFile } from 'node:fs/promises';
import { Gauge, type Registry } from 'prom-client';

/** `include/net/tcp_states.h` of Linux, by number. */
const STATES: Readonly<Record<number, string>> = {
  1: 'established',
  2: 'syn_sent',
  3: 'syn_recv',
  4: 'fin_wait1',
  5: 'fin_wait2',
  6: 'time_wait',
  7: 'close',
  8: 'close_wait',
  9: 'last_ack',
  10: 'listen',
  11: 'closing',
};
const TABLES = ['/proc/net/tcp', '/proc/net/tcp6'];
const SUMMARY = '/proc/net/sockstat';
/** Number of sockets above which the tables would take too long to read; then only the sums are reported. */
const TABLE_LIMIT = 5000;
const NEWLINE = 0x0a;
const SPACE = 0x20;
const COLON = 0x3a;

export type TcpSockets = Readonly<Record<string, number>>;

/**
 * TCP sockets by state, as the kernel counts them: of everything in this network namespace, which in a container is this
 * service alone. Sockets in TIME_WAIT belong to no process any more, so no process can count its own.
 */
export function registerTcpSockets(registry: Registry): void {
  new Gauge({
    name: 'humancast_tcp_sockets',
    help: 'TCP sockets in this network namespace, by state',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      this.reset();
      for (const [state, count] of Object.entries(await tcpSockets())) this.set({ state }, count);
    },
  });
}

/** @returns No counts if the kernel does not report them (not Linux). */
export async function tcpSockets(): Promise<TcpSockets> {
  try {
    const summary = readSummary(await readFile(SUMMARY, 'utf8'));
    if (summary.in_use + summary.time_wait > TABLE_LIMIT) return summary;
    const counts: Record<string, number> = Object.fromEntries(Object.values(STATES).map((state) => [state, 0]));
    for (const table of await Promise.all(TABLES.map((path) => readFile(path).catch(() => Buffer.alloc(0))))) {
      countStates(table, counts);
    }
    // The tables omit sockets that wait for their last packets; the sum includes them.
    return { ...counts, orphan: summary.orphan, time_wait: summary.time_wait };
  } catch {
    return {};
  }
}

/** `TCP: inuse 12 orphan 0 tw 3 alloc 15 mem 2` */
export function readSummary(text: string): { in_use: number; orphan: number; time_wait: number } {
  const value = (name: string) => Number(new RegExp(`^TCP:.* ${name} (\\d+)`, 'm').exec(text)?.[1] ?? 0);
  return { in_use: value('inuse'), orphan: value('orphan'), time_wait: value('tw') };
}

/**
 * Adds a table's sockets to `counts`. The first line is a heading. On bytes, because texts of thousands of lines cost
 * milliseconds.
 */
export function countStates(table: Buffer, counts: Record<string, number>): void {
  let at = table.indexOf(NEWLINE) + 1;
  while (at > 0 && at < table.length) {
    // `  12: 0100007F:1F90 0100007F:C350 06 …`: number, two addresses with their ports, state.
    const local = table.indexOf(COLON, at) + 2;
    const remote = table.indexOf(SPACE, local) + 1;
    const state = STATES[hexByte(table, table.indexOf(SPACE, remote) + 1)];
    if (state !== undefined) counts[state] = (counts[state] ?? 0) + 1;
    at = table.indexOf(NEWLINE, at) + 1;
  }
}

/** @returns The value of two upper-case hexadecimal digits; NaN beyond the end. */
function hexByte(bytes: Buffer, at: number): number {
  return 16 * hexDigit(bytes[at]) + hexDigit(bytes[at + 1]);
}

function hexDigit(code = Number.NaN): number {
  return code < 0x3a ? code - 0x30 : code - 0x37;
}
