export * from './concurrency-limiter.js';
export * from './network.js';
export * from './rate-limiter.js';
export * from './token-bucket.js';
export * from './trusted-proxies.js';
