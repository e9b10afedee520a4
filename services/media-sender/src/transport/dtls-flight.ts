import { packRecords, writeRecord } from './dtls-records.js';

/** RFC 6347 §4.2.4.1 suggests 1 s, which a viewer would notice; WebRTC round trips are mostly below 300 ms. */
const FIRST_TIMEOUT_MS = 400;
const MAX_TIMEOUT_MS = 3200;
/** Number of retransmissions of an unanswered flight; the last one is sent after 19 s. */
const MAX_TIMEOUTS = 8;
/** Number of retransmissions of a flight because the other end repeats the flight that it answers. */
const MAX_REQUESTED = 10;

/**
 * Sends the flights of the handshake in as few datagrams as possible, and retransmits them: after a timeout that doubles
 * while no answer comes, or because the other end repeats its own flight (RFC 6347 §4.2.4).
 */
export class FlightSender {
  readonly #send: (datagram: Buffer) => void;
  /** Number of the next unprotected record; retransmitted content gets a new number (RFC 6347 §4.2.2). */
  #sequence = 0;
  #records: readonly Buffer[] = [];
  #requested = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (datagram: Buffer) => void) {
    this.#send = send;
  }

  /**
   * Sends the next flight and stops retransmitting the one before. @param insist whether it is retransmitted until the next
   * flight.
   */
  transmit(records: readonly Buffer[], insist: boolean): void {
    this.stop();
    this.#records = records;
    this.#requested = 0;
    this.#transmit();
    if (insist) this.#insist(FIRST_TIMEOUT_MS, MAX_TIMEOUTS);
  }

  /** Retransmits the flight, at most ten times, because the other end seems to have missed it. */
  repeat(): void {
    if (this.#requested++ < MAX_REQUESTED) this.#transmit();
  }

  /** Sends an unprotected record that is never retransmitted. */
  sendClear(type: number, body: Buffer): void {
    this.#send(writeRecord({ type, epoch: 0, sequence: this.#sequence++, body }));
  }

  /** Stops retransmitting on timeouts. */
  stop(): void {
    clearTimeout(this.#timer);
  }

  #insist(timeoutMs: number, times: number): void {
    if (times === 0) return;
    this.#timer = setTimeout(() => {
      this.#transmit();
      this.#insist(Math.min(2 * timeoutMs, MAX_TIMEOUT_MS), times - 1);
    }, timeoutMs);
  }

  #transmit(): void {
    // A protected record is sent again unchanged, because its number is part of its protection.
    for (const record of this.#records) if (record.readUInt16BE(3) === 0) record.writeUIntBE(this.#sequence++, 5, 6);
    for (const datagram of packRecords(this.#records)) this.#send(datagram);
  }
}
