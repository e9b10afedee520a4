import { createHmac } from 'node:crypto';
import type { IceServer } from '@humancast/protocol';
import { serverOf, type TurnServer, turnServers } from './turn-servers.js';

export interface TurnOptions {
  /** TURN URIs of one or more servers, with all their transports. */
  urls: readonly string[];
  /** Additional URIs of the same server, used while all of `urls` are on loopback. */
  localUrls?: readonly string[];
  /** coturn's `static-auth-secret`. */
  secret: string;
  ttlSeconds: number;
}

/**
 * Issues ephemeral TURN credentials (draft-uberti-behave-turn-rest): the username is `expiry:id`, the password
 * base64(HMAC-SHA1(secret, username)). coturn needs only the secret to check them. They cannot be revoked, so they are
 * short-lived.
 */
export class TurnCredentials {
  readonly #options: TurnOptions;
  readonly #servers: readonly TurnServer[];
  readonly #nowMs: () => number;
  readonly #onIssued: () => void;

  constructor(options: TurnOptions, onIssued: () => void = () => {}, nowMs: () => number = Date.now) {
    this.#options = options;
    this.#servers = turnServers(options.urls, options.localUrls ?? []);
    this.#onIssued = onIssued;
    this.#nowMs = nowMs;
  }

  /**
   * @param holder Name of the user in coturn's log: a viewer, which always gets the same server,
   * @param failures unless this many of its connections have failed.
   * @returns An empty list if there is no TURN server.
   */
  issue(holder: string, failures = 0): IceServer[] {
    const { secret, ttlSeconds } = this.#options;
    const urls = serverOf(holder, this.#servers, failures);
    if (!urls) return [];
    const username = `${Math.floor(this.#nowMs() / 1000) + ttlSeconds}:${holder}`;
    const credential = createHmac('sha1', secret).update(username).digest('base64');
    this.#onIssued();
    return [{ urls: [...urls], username, credential }];
  }
}
