import type { IncomingMessage } from 'node:http';
import { ApiKeys, bearerOf, HumancastError, type LoaderConfig } from '@humancast/shared';
import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { CONFIG } from '../tokens.js';

/** Everything here is for producers: an API key, in the `Authorization` header. */
@Injectable()
export class ApiKeyGuard implements CanActivate {
  readonly #keys: ApiKeys;

  constructor(@Inject(CONFIG) config: Pick<LoaderConfig, 'apiKeys' | 'apiKeyFile'>) {
    this.#keys = new ApiKeys(config.apiKeys, config.apiKeyFile);
  }

  /** @throws HumancastError `unauthorized`. */
  canActivate(context: ExecutionContext): boolean {
    const { headers } = context.switchToHttp().getRequest<IncomingMessage>();
    const key = bearerOf(headers.authorization);
    if (key === undefined) throw new HumancastError('unauthorized', 'this needs "Authorization: Bearer <API key>"');
    if (!this.#keys.has(key)) throw new HumancastError('unauthorized', 'the API key is not valid');
    return true;
  }
}
