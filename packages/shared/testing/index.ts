export * from './live-store-suite.js';
export * from './lossy-deletes.js';
export * from './mailbox-suite.js';
export * from './media-store-suite.js';
export * from './redis-mailbox-harness.js';
export * from './rewrite-manifest.js';
