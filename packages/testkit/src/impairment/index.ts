export { type Impairment, type Phase, parseProfile } from './profile.js';
export { type ImpairmentOptions, type ImpairmentRelay, startTcpImpairment, startUdpImpairment } from './relay.js';
