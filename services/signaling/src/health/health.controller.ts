import { HumancastError } from '@humancast/shared';
import { Controller, Get, Inject } from '@nestjs/common';
import { Readiness } from './readiness.js';

@Controller()
export class HealthController {
  readonly #readiness: Readiness;

  constructor(@Inject(Readiness) readiness: Readiness) {
    this.#readiness = readiness;
  }

  @Get('healthz')
  healthz(): { status: string } {
    return { status: 'ok' };
  }

  @Get('readyz')
  async readyz(): Promise<{ status: string; without?: string }> {
    const [reason, without] = await Promise.all([this.#readiness.reason(), this.#readiness.shortcoming()]);
    if (reason !== undefined) throw new HumancastError('unavailable', reason);
    return without === undefined ? { status: 'ok' } : { status: 'ok', without };
  }
}
