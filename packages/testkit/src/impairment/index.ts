export { halfNormal, seededRandom } from './impaired-path.js';
export { type ImpairmentRelay, startTcpImpairment, startUdpImpairment } from './relay.js';
