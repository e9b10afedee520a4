import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Metrics of this service; each name starts with `humancast_say_`. */
export class SayMetrics {
  readonly texts: Counter<'outcome'>;
  readonly speaking: Gauge;
  readonly firstFrame: Histogram;

  constructor(registry: Registry) {
    const registers = [registry];
    this.texts = new Counter({
      name: 'humancast_say_texts_total',
      help: 'Texts by outcome: said, interrupted, failed',
      labelNames: ['outcome'],
      registers,
    });
    this.speaking = new Gauge({ name: 'humancast_say_speaking', help: 'Texts being rendered', registers });
    this.firstFrame = new Histogram({
      name: 'humancast_say_first_frame_seconds',
      help: 'Time from receiving a text, with an empty queue, to pushing its first frame',
      buckets: [0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2],
      registers,
    });
  }
}
