import { connect } from 'node:net';

/** The answer to a WebSocket upgrade request, as it was on the wire. */
export interface RawAnswer {
  readonly status: number;
  /** Values by lower-case name, one per occurrence. */
  readonly headers: ReadonlyMap<string, readonly string[]>;
  readonly body: string;
}

/** Requests a WebSocket upgrade over plain TCP, because HTTP clients merge or drop repeated headers. */
export async function rawUpgrade(url: string, headers: Readonly<Record<string, string>> = {}): Promise<RawAnswer> {
  const { hostname, port, host, pathname, search } = new URL(url);
  const socket = connect(Number(port), hostname);
  const lines = Object.entries({
    host,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': Buffer.alloc(16).toString('base64'),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET ${pathname}${search} HTTP/1.1\r\n${lines.join('')}\r\n`);
  let text = '';
  for await (const chunk of socket.setEncoding('latin1')) text += chunk;
  const end = text.indexOf('\r\n\r\n');
  const [statusLine = '', ...fields] = text.slice(0, end).split('\r\n');
  const values = fields.map((field) => {
    const colon = field.indexOf(':');
    return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()] as const;
  });
  const byName = Map.groupBy(values, ([name]) => name);
  return {
    status: Number(statusLine.split(' ')[1]),
    headers: new Map([...byName].map(([name, pairs]) => [name, pairs.map(([, value]) => value)])),
    body: Buffer.from(text.slice(end + 4), 'latin1').toString(),
  };
}
