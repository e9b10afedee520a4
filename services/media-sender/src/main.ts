import 'reflect-metadata';
import { type Registry, senderSettings, startMetricsServer } from '@humancast/shared';
import { runService } from '@humancast/shared/nest';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { MediaSender } from './hosting/media-sender.js';
import { METRICS_REGISTRY } from './tokens.js';
import { warmUp } from './transport/warm-up.js';

runService('media-sender', senderSettings, async (config, logger, tracer) => {
  await warmUp();
  const app = await NestFactory.createApplicationContext(AppModule.with(config, logger, tracer), {
    logger: false,
    abortOnError: false,
  });
  const sender = app.get(MediaSender);
  const metrics = await startMetricsServer({
    port: config.metricsPort,
    address: config.metricsAddress,
    registry: app.get<Registry>(METRICS_REGISTRY),
    readiness: async () => sender.unready,
  });
  await sender.start();
  return {
    async close() {
      await sender.close();
      metrics.close();
      await app.close();
    },
  };
});
