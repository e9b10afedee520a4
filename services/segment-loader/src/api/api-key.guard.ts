import type { IncomingMessage } from 'node:http';
import { type ApiKey, ApiKeys, bearerOf, HumancastError } from '@humancast/shared';
import { type CanActivate, createParamDecorator, type ExecutionContext, Inject, Injectable } from '@nestjs/common';

type Admitted = IncomingMessage & { apiKey?: ApiKey };

/** Admits producers that send a valid API key in the `Authorization` header. Handlers check the key's scopes. */
@Injectable()
export class ApiKeyGuard implements CanActivate {
  constructor(@Inject(ApiKeys) private readonly keys: ApiKeys) {}

  /** @throws HumancastError `unauthorized`. */
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<Admitted>();
    const text = bearerOf(request.headers.authorization);
    if (text === undefined) throw new HumancastError('unauthorized', 'this needs "Authorization: Bearer <API key>"');
    const key = this.keys.find(text);
    if (!key) throw new HumancastError('unauthorized', 'the API key is not valid');
    request.apiKey = key;
    return true;
  }
}

/** Injects the request's API key into a handler behind {@link ApiKeyGuard}. */
export const ShownKey = createParamDecorator((_: unknown, context: ExecutionContext): ApiKey => {
  const { apiKey } = context.switchToHttp().getRequest<Admitted>();
  if (!apiKey) throw new HumancastError('unauthorized');
  return apiKey;
});
