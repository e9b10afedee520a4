import { Controller, Get, Inject } from '@nestjs/common';
import { HumancastError } from '../humancast-error.js';
import { Readiness } from '../service/readiness.js';

/** Answers `/healthz` while the process lives, and `/readyz` while it can serve. */
@Controller()
export class HealthController {
  constructor(@Inject(Readiness) private readonly readiness: Readiness) {}

  @Get('healthz')
  healthz(): { status: string } {
    return { status: 'ok' };
  }

  /** @throws HumancastError `unavailable` with the reason. */
  @Get('readyz')
  async readyz(): Promise<{ status: string; without?: string }> {
    const [reason, without] = await Promise.all([this.readiness.reason(), this.readiness.shortcoming()]);
    if (reason !== undefined) throw new HumancastError('unavailable', reason);
    return without === undefined ? { status: 'ok' } : { status: 'ok', without };
  }
}
