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
  async readyz(): Promise<{ status: string }> {
    const reason = await this.#readiness.reason();
    if (reason !== undefined) throw new HumancastError('unavailable', reason);
    return { status: 'ok' };
  }
}
