/** Injection tokens of what is no class of our own. */
export const RETENTION_METRICS = Symbol('retention metrics');
/** What tests do after each step of a deletion. */
export const AFTER_DELETION_STEP = Symbol('after deletion step');
export const CONFIG = Symbol('config');
export const LOGGER = Symbol('logger');
export const TRACER = Symbol('tracer');
export const QUEUE_REDIS = Symbol('queue redis');
export const MEDIA_REDIS = Symbol('media redis');
