import type { MessageData } from '@humancast/protocol';
import type { ToSender, ToSignaling } from '@humancast/shared';
import {
  ApiKeys,
  AvatarStore,
  connectRedis,
  connectSubscriber,
  type Logger,
  newId,
  Readiness,
  RedisMailbox,
  RedisMailSender,
  RedisMediaStore,
  RequestLimits,
  SegmentQueues,
  SenderRegistry,
  SessionRegistry,
  type SignalingConfig,
  Speech,
  StreamFeed,
  type Tracer,
  toSignalingSchema,
  VoiceFeed,
} from '@humancast/shared';
import { Access } from './auth/access.js';
import { DemoSessions } from './demo/demo-sessions.js';
import { SayRelay } from './demo-say/say-relay.js';
import { EventFeed } from './events/event-feed.js';
import { EventStreams } from './events/event-streams.js';
import { ViewerEvents } from './events/viewer-events.js';
import { KnownHosts } from './http/known-hosts.js';
import { Origins } from './http/origins.js';
import { Limits } from './limits/limits.js';
import { ListenServer } from './listen/listen-server.js';
import type { SignalingMetrics } from './metrics.js';
import { FleetProbe } from './observability/fleet-probe.js';
import { Posters } from './posters/posters.js';
import { HostRequests } from './routing/host-requests.js';
import { Inbox } from './routing/inbox.js';
import { JobQueues } from './routing/job-queues.js';
import { QueueMemory } from './routing/queue-memory.js';
import { SessionRouter } from './routing/session-router.js';
import { Sweeper } from './routing/sweeper.js';
import { Fleet } from './senders/fleet.js';
import { SessionService } from './sessions/session-service.js';
import { SessionViews } from './sessions/session-view.js';
import type { Timings } from './timings.js';
import { TurnCredentials } from './turn/turn-credentials.js';
import { TurnUsers } from './turn/turn-users.js';
import { Connections } from './websocket/connections.js';
import { WaitingViewers } from './websocket/waiting-viewers.js';
import { WhepService } from './whep/whep-service.js';

export interface Surroundings {
  readonly config: SignalingConfig;
  readonly logger: Logger;
  readonly tracer: Tracer;
  readonly metrics: SignalingMetrics;
  readonly timings: Readonly<Timings>;
}

/** Creates the parts of a signaling process in order of dependency. Nothing runs yet. @throws ConfigError. */
export function createSignaling({ config, logger, tracer, metrics, timings }: Surroundings) {
  const address = newId('sig');
  const connect = (url: string, name: string) => connectRedis(url, { name, logger });
  const queueRedis = connect(config.redisQueueUrl, address);
  const mediaRedis = connect(config.redisMediaUrl, `${address}.media`);
  const subscriber = connectSubscriber(config.redisQueueUrl, { name: `${address}.events`, logger });
  const mailboxOptions = { name: `${address}.mailbox`, logger, waitForReconnect: true };
  const mailboxReader = connectRedis(config.redisQueueUrl, mailboxOptions);

  const registry = new SessionRegistry(queueRedis);
  const senders = new SenderRegistry(queueRedis);
  const avatars = new AvatarStore(queueRedis);
  const media = new RedisMediaStore(mediaRedis);
  const mailbox = new RedisMailbox<ToSignaling>(address, mailboxReader, queueRedis, toSignalingSchema, logger);
  const toSenders = new RedisMailSender<ToSender>(queueRedis, logger);
  const toSignaling = new RedisMailSender<ToSignaling>(queueRedis, logger);

  const keys = new ApiKeys(config.apiKeys, config.apiKeyFile, { onProblem: (problem) => logger.warn(problem) });
  const requestLimits = new RequestLimits(config, ({ headers }) => keys.fingerprintOf(headers.authorization));
  const access = new Access(config, { keys, registry });
  const hosts = new KnownHosts(config);
  const origins = new Origins(config);
  const limits = new Limits(config, requestLimits);
  const demos = new DemoSessions(registry, config);
  const turnUsers = new TurnUsers(config);
  const turn = new TurnCredentials(
    {
      urls: config.turnUrls,
      localUrls: config.turnLocalUrls,
      secret: config.turnSecret,
      ttlSeconds: config.turnTtlSeconds,
    },
    () => metrics.credentials.inc(),
  );

  const segmentQueues = new SegmentQueues(queueRedis);
  const jobs = new JobQueues(queueRedis, segmentQueues);
  const router = new SessionRouter(registry, jobs, toSenders);
  const fleet = new Fleet({ senders, jobs, mail: toSenders });
  const { inspectMs, whepAnswerMs: restartMs } = timings;
  const requests = new HostRequests(router, { replyTo: address, inspectMs, restartMs });
  const inbox = new Inbox(requests);
  const sweeper = new Sweeper(
    { redis: queueRedis, registry, senders, router, metrics, logger },
    { ...config, mailbox: address, timings },
  );

  const speech = new Speech(registry, segmentQueues, toSenders);
  const queueMemory = new QueueMemory(queueRedis);
  const sessions = new SessionService(
    { registry, avatars, media, router, speech, fleet, queueMemory, metrics, logger, tracer },
    config,
  );
  const views = new SessionViews(registry, requests);
  const posters = new Posters(media);
  const say = new SayRelay(registry, tracer, config);

  const feed = new EventFeed(registry, new StreamFeed(subscriber, logger));
  const voiceSubscriber = connectSubscriber(config.redisMediaUrl, { name: `${address}.voices`, logger });
  const listen = new ListenServer(
    { access, hosts, limits, registry, feed, metrics, voices: new VoiceFeed(voiceSubscriber) },
    config,
  );
  const eventStreams = new EventStreams(
    { registry, feed, metrics },
    { ...config, heartbeatMs: timings.eventHeartbeatMs, lingerMs: timings.eventLingerMs },
  );

  const waitingViewers = new WaitingViewers({ registry, router, metrics, logger }, timings);
  const interrupt = (session: string) => {
    limits.requireInterrupt(session);
    return sessions.interrupt(session);
  };
  const sendToProducers = (session: string, viewer: string, data: MessageData) => {
    limits.requireMessage(session);
    return registry.message(session, { type: 'viewer.message', viewer, data });
  };
  const ofViewers = { avatars, registry, router, inbox, turn, metrics, logger, tracer, mailbox: address };
  const { viewerLimit } = config;
  const connections = new Connections(
    {
      ...ofViewers,
      mail: toSignaling,
      events: new ViewerEvents(feed),
      turnUsers,
      waitingViewers,
      viewerLimit,
      interrupt,
      sendToProducers,
    },
    { ...config, relayOnly: config.turnUrls.length > 0 && config.relayOnly },
  );
  const whep = new WhepService(
    { ...ofViewers, requests, sessions, demos },
    { ...config, mailbox: address, answerMs: timings.whepAnswerMs },
  );

  const probe = new FleetProbe({ queueRedis, mediaRedis, senders, jobs });
  const readiness = new Readiness({
    requires: { 'redis-queue': queueRedis },
    uses: { 'redis-media': mediaRedis },
    mailbox: { redis: queueRedis, address },
  });
  return {
    hosts,
    requestLimits,
    origins,
    limits,
    readiness,
    probe,
    sweeper,
    waitingViewers,
    eventStreams,
    listen,
    whep,
    /** Providers injected into controllers and gateways. */
    injected: [
      access,
      avatars,
      connections,
      demos,
      eventStreams,
      fleet,
      limits,
      metrics,
      posters,
      registry,
      say,
      senders,
      sessions,
      turn,
      turnUsers,
      views,
      whep,
    ],
    openMailbox: () => mailbox.open((message) => inbox.deliver(message)),
    close: async () => {
      await mailbox.close();
      await jobs.close();
      for (const redis of [subscriber, voiceSubscriber, queueRedis, mediaRedis]) redis.disconnect();
    },
  };
}
