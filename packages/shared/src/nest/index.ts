export * from './problem.filter.js';
export * from './run-service.js';
