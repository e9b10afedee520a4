/** Injection tokens of what is no class of our own. */
export const CONFIG = Symbol('config');
export const LOGGER = Symbol('logger');
export const TRACER = Symbol('tracer');
export const TIMINGS_TOKEN = Symbol('timings');
export const QUEUE_REDIS = Symbol('queue redis');
export const MEDIA_REDIS = Symbol('media redis');
export const SUBSCRIBER_REDIS = Symbol('subscriber redis');
export const MAILBOX_ADDRESS = Symbol('mailbox address');
