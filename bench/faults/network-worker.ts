/**
 * TCP links that can be cut, in their own thread, so that the tool's other work does not delay a heartbeat.
 *
 * A cut direction delivers nothing until it is mended: bytes and the end of the connection wait in the kernel's buffers, as
 * they would wait for a retransmission. New connections are accepted and wait, too.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { parentPort } from 'node:worker_threads';
import type { LinkCut, NetworkAnswer, NetworkRequest } from './network.ts';

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
}

const HOST = '127.0.0.1';

class Link {
  readonly #pairs = new Set<Pair>();
  readonly #listener: Server;
  #cut: LinkCut = { requests: false, replies: false };

  constructor(targetPort: number) {
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) => {
      const server = connect({ host: HOST, port: targetPort, allowHalfOpen: true, noDelay: true });
      const pair = { client, server };
      this.#pairs.add(pair);
      this.#join(pair, client, server);
      this.#join(pair, server, client);
      this.#apply(pair);
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#listener.once('error', reject);
      this.#listener.listen(0, HOST, resolve);
    });
    const address = this.#listener.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  /** @param reset whether open connections break instead of delivering what waits. */
  set(cut: LinkCut, reset: boolean): void {
    this.#cut = cut;
    for (const pair of this.#pairs) {
      if (reset) this.#break(pair);
      else this.#apply(pair);
    }
  }

  close(): void {
    this.#listener.close();
    for (const pair of this.#pairs) this.#break(pair);
  }

  #join(pair: Pair, from: Socket, to: Socket): void {
    from.on('data', (chunk) => {
      if (!to.write(chunk)) this.#apply(pair);
    });
    from.on('end', () => to.end());
    from.on('drain', () => this.#apply(pair));
    from.on('error', () => {});
    from.on('close', () => this.#break(pair));
  }

  #apply({ client, server }: Pair): void {
    flow(client, !this.#cut.requests && !server.writableNeedDrain);
    flow(server, !this.#cut.replies && !client.writableNeedDrain);
  }

  #break(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.client.destroy();
    pair.server.destroy();
  }
}

function flow(socket: Socket, on: boolean): void {
  if (on) socket.resume();
  else socket.pause();
}

const links: Link[] = [];

async function answer(request: NetworkRequest): Promise<number> {
  switch (request.type) {
    case 'open': {
      const link = new Link(request.targetPort);
      links.push(link);
      return link.listen();
    }
    case 'set':
      for (const i of request.links) links[i]?.set(request.cut, request.reset);
      return 0;
    case 'close':
      for (const link of links) link.close();
      return 0;
  }
}

parentPort?.on('message', async (request: NetworkRequest & { id: number }) => {
  const value = await answer(request);
  parentPort?.postMessage({ id: request.id, value } satisfies NetworkAnswer);
  if (request.type === 'close') parentPort?.close();
});
