import { runService, senderSettings, startMetricsServer } from '@humancast/shared';
import { createMediaSender } from './create-media-sender.js';
import { processCertificate } from './transport/dtls.js';

runService('media-sender', senderSettings, async (config, logger, tracer) => {
  // Otherwise the first connection would wait for it.
  await processCertificate();
  const { sender, metrics, disconnect } = createMediaSender(config, logger, tracer);
  const metricsServer = await startMetricsServer({
    port: config.metricsPort,
    address: config.metricsAddress,
    registry: metrics,
    readiness: async () => sender.unready,
  });
  await sender.start();
  return {
    async close() {
      await sender.close();
      metricsServer.close();
      disconnect();
    },
  };
});
