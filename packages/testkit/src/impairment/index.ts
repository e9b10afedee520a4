export { halfNormal, seededRandom } from './impaired-path.js';
export { parseProfile } from './profile.js';
export { type ImpairmentRelay, startTcpImpairment, startUdpImpairment } from './relay.js';
