import { type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import type { SignalSocket } from './signal-socket.js';

/** Sends a handler's error to the viewer as a message of the signaling protocol. */
@Catch()
export class SignalErrorFilter implements ExceptionFilter {
  catch(thrown: unknown, host: ArgumentsHost): void {
    const context = host.switchToWs();
    const session = context.getData<{ session?: unknown } | null>()?.session;
    const about = typeof session === 'string' ? { session } : {};
    context.getClient<SignalSocket>().reject(thrown, { type: context.getPattern(), ...about });
  }
}
