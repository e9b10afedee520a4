export { StandIn } from './stand-in/stand-in.js';
