import type { IncomingMessage } from 'node:http';
import { errorOfAnswer } from './problem.js';
import { ProducerError } from './producer-error.js';

const BODY_LIMIT_BYTES = 65_536;

/** @returns Why a WebSocket was rejected, from the HTTP answer. */
export async function rejectionOf(response: IncomingMessage): Promise<ProducerError> {
  const { statusCode = 0, headers } = response;
  try {
    let body = '';
    for await (const chunk of response.setEncoding('utf8')) {
      body += chunk;
      if (body.length > BODY_LIMIT_BYTES) break;
    }
    return errorOfAnswer(statusCode, body, headers['retry-after']);
  } catch (error) {
    return new ProducerError('connection_lost', 'the connection was lost before the answer was complete', {
      cause: error,
    });
  }
}
