import type { Logger } from '@humancast/shared';
import { asHumancastError, ProblemFilter } from '@humancast/shared/nest';
import { type ArgumentsHost, Catch } from '@nestjs/common';
import type { SignalingMetrics } from '../metrics.js';

/** Problem documents, counted by code. */
@Catch()
export class CountingProblemFilter extends ProblemFilter {
  readonly #metrics: SignalingMetrics;

  constructor(logger: Logger, metrics: SignalingMetrics) {
    super(logger);
    this.#metrics = metrics;
  }

  override catch(thrown: unknown, host: ArgumentsHost): void {
    this.#metrics.errors.inc({ code: asHumancastError(thrown).code });
    super.catch(thrown, host);
  }
}
