import { setImmediate as turn } from 'node:timers/promises';
import { DtlsEndpoint, type DtlsProblem, processCertificate } from '../src/transport/dtls.js';
import { DtlsTestClient, type DtlsTestClientOptions } from './dtls-client.js';

export interface Transfer {
  readonly to: 'server' | 'client';
  readonly datagram: Buffer;
}

/** Queues a datagram for delivery: at the end, elsewhere, several times, or not at all. */
export type Network = (onTheWay: Transfer[], transfer: Transfer) => void;

export type DtlsSceneOptions = Omit<DtlsTestClientOptions, 'send'> & { readonly network?: Network };

/** A DTLS endpoint and a client, with a network between them that loses, repeats and reorders as the test decides. */
export class DtlsScene {
  readonly endpoint: DtlsEndpoint;
  readonly client: DtlsTestClient;
  readonly events: string[] = [];
  readonly problems: DtlsProblem[] = [];
  /** All datagrams that were sent, in order, lost or not. */
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

  /** Starts the handshake and delivers until nothing is in flight. */
  async connect(): Promise<this> {
    this.client.start();
    await this.deliver();
    return this;
  }

  /** Delivers what is in flight, and what is sent in response. @param most Maximum number of datagrams. */
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
