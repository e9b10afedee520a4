import { setImmediate as turn } from 'node:timers/promises';
import { DtlsEndpoint, type DtlsProblem, processCertificate } from '../src/transport/dtls.js';
import { DtlsTestClient, type DtlsTestClientOptions } from './dtls-client.js';

export interface Transfer {
  readonly to: 'server' | 'client';
  readonly datagram: Buffer;
}

/** Puts a datagram among those on the way: at the end, elsewhere, several times, or not at all. */
export type Network = (onTheWay: Transfer[], transfer: Transfer) => void;

export type DtlsSceneOptions = Omit<DtlsTestClientOptions, 'send'> & { readonly network?: Network };

/** A DTLS endpoint and a client of it, with a network between them that loses, repeats and reorders as the test wants. */
export class DtlsScene {
  readonly endpoint: DtlsEndpoint;
  readonly client: DtlsTestClient;
  readonly events: string[] = [];
  readonly problems: DtlsProblem[] = [];
  /** All that was sent, in order, lost or not. */
  readonly sent: Transfer[] = [];
  readonly #network: Network;
  readonly #onTheWay: Transfer[] = [];

  static async create(options: DtlsSceneOptions): Promise<DtlsScene> {
    return new DtlsScene(await processCertificate(), options);
  }

  private constructor(own: Awaited<ReturnType<typeof processCertificate>>, { network, ...options }: DtlsSceneOptions) {
    this.#network = network ?? ((onTheWay, transfer) => onTheWay.push(transfer));
    this.endpoint = new DtlsEndpoint(own, (datagram) => this.#transmit('client', datagram), {
      established: () => this.events.push('established'),
      failed: (error) => this.events.push(`failed: ${error.message}`),
      closed: () => this.events.push('closed'),
      dropped: (problem) => this.problems.push(problem),
    });
    this.client = new DtlsTestClient({ ...options, send: (datagram) => this.#transmit('server', datagram) });
  }

  get isConnected(): boolean {
    return this.events[0] === 'established' && this.client.state === 'established';
  }

  /** Starts the handshake and delivers until nothing is on the way any more. */
  async connect(): Promise<this> {
    this.client.start();
    await this.deliver();
    return this;
  }

  /** Delivers what is on the way, and what is sent because of it. @param most stops after so many datagrams. */
  async deliver(most = Number.POSITIVE_INFINITY): Promise<void> {
    for (let delivered = 0; delivered < most; delivered++) {
      const next = this.#onTheWay.shift();
      if (!next) return;
      if (next.to === 'server') this.endpoint.receive(next.datagram);
      else this.client.receive(next.datagram);
      // werift answers the last flight asynchronously.
      await turn();
    }
  }

  #transmit(to: Transfer['to'], datagram: Buffer): void {
    const transfer = { to, datagram: Buffer.from(datagram) };
    this.sent.push(transfer);
    this.#network(this.#onTheWay, transfer);
  }
}
