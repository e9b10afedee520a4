import { runService, senderSettings, startMetricsServer } from '@humancast/shared';
import { createMediaSender } from './create-media-sender.js';
import { processCertificate } from './transport/dtls.js';
import { takeRealtimePriority } from './transport/native/realtime-priority.js';

runService('media-sender', senderSettings, async (config, logger, tracer) => {
  // Otherwise the first connection would wait for it.
  await processCertificate();
  if (config.realtimePriority > 0) {
    const refused = takeRealtimePriority(config.realtimePriority);
    logger.info({ priority: config.realtimePriority, refused }, 'real-time priority requested');
  }
  const { sender, sockets, metrics, disconnect } = createMediaSender(config, logger, tracer);
  const metricsServer = await startMetricsServer({
    port: config.metricsPort,
    address: config.metricsAddress,
    registry: metrics,
    readiness: async () => sender.unready,
  });
  // A port that is in use ends the start, not each viewer's connection.
  await sockets.open();
  await sender.start();
  return {
    async close() {
      await sender.close();
      metricsServer.close();
      disconnect();
    },
  };
});
