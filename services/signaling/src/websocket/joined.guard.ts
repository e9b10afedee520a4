import { HumancastError } from '@humancast/shared';
import { type CanActivate, createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { SignalSocket } from './signal-socket.js';
import type { ViewerConnection } from './viewer-connection.js';

/** Admits messages of viewers that have joined. */
export class JoinedGuard implements CanActivate {
  /** @throws HumancastError `join_required`. */
  canActivate(context: ExecutionContext): boolean {
    if (viewerOf(context)) return true;
    throw new HumancastError('join_required');
  }
}

/** Admits messages on sockets where nobody has joined. */
export class NotJoinedGuard implements CanActivate {
  /** @throws HumancastError `already_joined`. */
  canActivate(context: ExecutionContext): boolean {
    if (!viewerOf(context)) return true;
    throw new HumancastError('already_joined');
  }
}

/** Injects the joined viewer into a handler behind {@link JoinedGuard}. */
export const JoinedViewer = createParamDecorator((_: unknown, context: ExecutionContext) => viewerOf(context));

function viewerOf(context: ExecutionContext): ViewerConnection | undefined {
  return context.switchToWs().getClient<SignalSocket>().viewer;
}
