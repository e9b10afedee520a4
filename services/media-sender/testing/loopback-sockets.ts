import { createLogger } from '@humancast/shared';
import { MediaSockets, type MediaSocketsOptions } from '../src/transport/media-sockets.js';

/** @returns sockets on 127.0.0.1 of node:dgram, unless the options say otherwise. */
export function loopbackSockets(options: Partial<MediaSocketsOptions> = {}): MediaSockets {
  return new MediaSockets({ hostAddresses: ['127.0.0.1'], logger: createLogger('test', 'fatal'), ...options });
}
