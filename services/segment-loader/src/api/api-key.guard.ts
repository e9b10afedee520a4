import type { IncomingMessage } from 'node:http';
import { type ApiKey, ApiKeys, bearerOf, HumancastError } from '@humancast/shared';
import { type CanActivate, createParamDecorator, type ExecutionContext, Inject, Injectable } from '@nestjs/common';

type Admitted = IncomingMessage & { apiKey?: ApiKey };

/** Everything here is for producers: an API key, in the `Authorization` header. What it allows is asked by the handlers. */
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

/** The key that was shown, as a parameter of a handler behind {@link ApiKeyGuard}. */
export const ShownKey = createParamDecorator((_: unknown, context: ExecutionContext): ApiKey => {
  const { apiKey } = context.switchToHttp().getRequest<Admitted>();
  if (!apiKey) throw new HumancastError('unauthorized');
  return apiKey;
});
