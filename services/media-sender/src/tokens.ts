/** What NestJS injects by name: everything here is a plain class or a connection. */
export const CONFIG = Symbol('config');
export const LOGGER = Symbol('logger');
export const TRACER = Symbol('tracer');
export const METRICS_REGISTRY = Symbol('metrics registry');
export const REDIS_QUEUE = Symbol('redis-queue');
export const REDIS_MEDIA = Symbol('redis-media');
/** For subscriptions only. */
export const MEDIA_SUBSCRIBER = Symbol('redis-media, subscriptions');
