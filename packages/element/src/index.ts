export type { ClientError, ClientStats, SessionEvent, SessionState } from '@humancast/client';
export { HumanCastElement, type HumanCastEventMap } from './human-cast-element.js';
