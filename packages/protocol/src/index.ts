export * from './avatar.js';
export * from './composition.js';
export * from './errors.js';
export * from './ids.js';
export * from './live-push.js';
export * from './segment.js';
export * from './session-event.js';
export * from './signal.js';
