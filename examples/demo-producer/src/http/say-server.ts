import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { idSchema } from '@humancast/protocol';
import {
  ApiKeys,
  bearerOf,
  commandOf,
  HumancastError,
  type Logger,
  parseRequest,
  toHumancastError,
  toProblem,
  traceparentOf,
} from '@humancast/shared';
import { z } from 'zod';
import type { SayRequest, SayResult } from '../saying/say-service.js';
import { OnceByKey } from './once-by-key.js';

const BODY_LIMIT_BYTES = 65_536;
const sayRequestSchema = z.strictObject({
  session: idSchema,
  text: z.string(),
  interrupt: z.boolean().default(false),
  turn: z.int().min(0).optional(),
});

export interface SayServerOptions {
  port: number;
  address: string;
  apiKeys: readonly string[];
  logger: Logger;
  idempotencyTtlSeconds: number;
  take: (sayRequest: SayRequest) => Promise<SayResult>;
}

/** Serves `POST /v1/say` `{session, text, interrupt?, turn?}` to holders of an API key: signaling and backends. */
export class SayServer {
  readonly #server: Server;
  readonly #keys: ApiKeys;
  readonly #once = new OnceByKey<SayResult>();
  readonly #options: SayServerOptions;

  constructor(options: SayServerOptions) {
    this.#options = options;
    this.#keys = new ApiKeys(options.apiKeys);
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  async listen(): Promise<void> {
    const { port, address } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, address, resolve);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let session: string | undefined;
    try {
      this.#admit(request);
      const sayRequest = parseRequest(sayRequestSchema, await jsonOf(request));
      session = sayRequest.session;
      const traceparent = traceparentOf(request.headers['traceparent']);
      // A repeated request has another turn if the session was interrupted in between.
      const { turn: _, ...content } = sayRequest;
      const command = commandOf(request.headers, content, this.#options.idempotencyTtlSeconds);
      const result = await this.#once.run(command, sayRequest.session, () =>
        this.#options.take({ ...sayRequest, key: command?.key, traceparent }),
      );
      response.writeHead(202, { 'content-type': 'application/json' }).end(JSON.stringify(result));
    } catch (thrown) {
      const error = toHumancastError(thrown);
      if (error.status >= 500) this.#options.logger.error({ err: thrown, code: error.code, session }, 'request failed');
      const retry = error.retryAfterSeconds;
      response.writeHead(error.status, {
        'content-type': 'application/problem+json',
        ...(retry !== undefined && { 'retry-after': String(retry) }),
      });
      response.end(JSON.stringify(toProblem(error)));
    }
  }

  /** @throws HumancastError `not_found`, `method_not_allowed`, `unauthorized`. */
  #admit({ url, method, headers }: IncomingMessage): void {
    if (url !== '/v1/say') throw new HumancastError('not_found');
    if (method !== 'POST') throw new HumancastError('method_not_allowed', 'use POST');
    if (!this.#keys.find(bearerOf(headers.authorization) ?? ''))
      throw new HumancastError('unauthorized', 'an API key is required');
  }
}

/** @throws HumancastError `message_too_large`, `bad_request`. */
async function jsonOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > BODY_LIMIT_BYTES) throw new HumancastError('message_too_large');
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch (error) {
    throw new HumancastError('bad_request', { detail: 'the body is not JSON', cause: error });
  }
}
