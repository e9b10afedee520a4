export * from './chromium.js';
export * from './encoded-clip.js';
export * from './ports.js';
export * from './receiver.js';
export * from './redis.js';
export * from './stack.js';
export * from './turn.js';
