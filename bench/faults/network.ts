import { Worker } from 'node:worker_threads';

/** Directions that deliver nothing: from a service to Redis, and back. */
export interface LinkCut {
  readonly requests: boolean;
  readonly replies: boolean;
}

export type NetworkRequest =
  | { readonly type: 'open'; readonly targetPort: number }
  | { readonly type: 'set'; readonly links: readonly number[]; readonly cut: LinkCut; readonly reset: boolean }
  | { readonly type: 'close' };

export interface NetworkAnswer {
  readonly id: number;
  readonly value: number;
}

export interface LinkName {
  readonly service: string;
  readonly instance: number;
  readonly redis: 'queue' | 'media';
}

const MENDED: LinkCut = { requests: false, replies: false };

/** The stack's links to Redis: one loopback port per process and Redis, so that each can be cut separately. */
export class Network {
  readonly #worker = new Worker(new URL('./network-worker.ts', import.meta.url));
  readonly #links: LinkName[] = [];
  readonly #waiting = new Map<number, (value: number) => void>();
  #id = 0;

  constructor() {
    this.#worker.on('message', ({ id, value }: NetworkAnswer) => {
      this.#waiting.get(id)?.(value);
      this.#waiting.delete(id);
    });
  }

  /** @returns the port that forwards to `targetPort`. */
  async open(name: LinkName, targetPort: number): Promise<number> {
    this.#links.push(name);
    return this.#ask({ type: 'open', targetPort });
  }

  /** @returns the links of a service to one Redis, of all instances or of one. */
  linksOf(service: string, redis: LinkName['redis'], instance?: number): number[] {
    return this.#links.flatMap((link, i) =>
      link.service === service && link.redis === redis && (instance === undefined || link.instance === instance)
        ? [i]
        : [],
    );
  }

  async cut(links: readonly number[], cut: LinkCut): Promise<void> {
    await this.#ask({ type: 'set', links, cut, reset: false });
  }

  /** @param options.reset whether connections break; otherwise everything held back is delivered. */
  async mend(links: readonly number[], { reset }: { reset: boolean }): Promise<void> {
    await this.#ask({ type: 'set', links, cut: MENDED, reset });
  }

  async close(): Promise<void> {
    await this.#ask({ type: 'close' });
    await this.#worker.terminate();
  }

  #ask(request: NetworkRequest): Promise<number> {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      const failed = (error: Error) => reject(error);
      this.#worker.once('error', failed);
      this.#waiting.set(id, (value) => {
        this.#worker.off('error', failed);
        resolve(value);
      });
      this.#worker.postMessage({ ...request, id });
    });
  }
}
