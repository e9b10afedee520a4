import { packRecords, writeRecord } from './dtls-records.js';

/** RFC 6347 §4.2.4.1 suggests 1 s, which a viewer would notice; WebRTC's round trips are mostly below 300 ms. */
const FIRST_TIMEOUT_MS = 400;
const MAX_TIMEOUT_MS = 3200;
/** How often a flight is repeated without an answer; the last time after 19 s. */
const MAX_TIMEOUTS = 8;
/** How often a flight is repeated because the other end repeats what it answers. */
const MAX_REQUESTED = 10;

/**
 * Sends flights of the handshake in as few datagrams as they fit, and again: after a time that doubles while no answer
 * comes, or because the other end repeats its own flight (RFC 6347 §4.2.4).
 */
export class FlightSender {
  readonly #send: (datagram: Buffer) => void;
  /** The number of the next record in clear; content that is sent again gets a new one (RFC 6347 §4.2.2). */
  #sequence = 0;
  #records: readonly Buffer[] = [];
  #requested = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(send: (datagram: Buffer) => void) {
    this.#send = send;
  }

  /** Sends the next flight, which ends the repetition of the one before. @param insist repeats it until the next. */
  transmit(records: readonly Buffer[], insist: boolean): void {
    this.stop();
    this.#records = records;
    this.#requested = 0;
    this.#transmit();
    if (insist) this.#insist(FIRST_TIMEOUT_MS, MAX_TIMEOUTS);
  }

  /** Sends the flight once more, because it seems to be missed. At most ten times a flight. */
  repeat(): void {
    if (this.#requested++ < MAX_REQUESTED) this.#transmit();
  }

  /** Sends a record in clear that is not repeated. */
  sendClear(type: number, body: Buffer): void {
    this.#send(writeRecord({ type, epoch: 0, sequence: this.#sequence++, body }));
  }

  /** Repeats nothing any more by itself. */
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
    // A protected record is the same record each time: its number is part of its protection.
    for (const record of this.#records) if (record.readUInt16BE(3) === 0) record.writeUIntBE(this.#sequence++, 5, 6);
    for (const datagram of packRecords(this.#records)) this.#send(datagram);
  }
}
