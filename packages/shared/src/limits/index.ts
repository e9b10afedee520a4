export * from './concurrency-limiter.js';
export * from './connection-guard.js';
export * from './network.js';
export * from './rate-limiter.js';
export * from './request-limits.js';
export * from './token-bucket.js';
export * from './trusted-proxies.js';
