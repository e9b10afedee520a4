export * from './health.controller.js';
export * from './http-service.js';
export * from './problem.filter.js';
