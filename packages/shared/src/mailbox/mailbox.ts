/**
 * Messages to one process. A message is deleted only after it was delivered, and has an id by which it is delivered once, so
 * nothing is lost, and nothing comes twice, while the reader is late, its connection is down, or an answer to it gets lost.
 * What is sent to a process that is gone is refused, so that the sender knows. Order is kept per sender. Conformance suite:
 * `testing/mailbox-suite.ts`.
 */
export interface Mailbox<T> {
  readonly address: string;
  /**
   * Starts reading; messages sent before are delivered first. A handler that throws is logged, and reading goes on; a message of
   * a type that this version does not know is counted and passed over.
   */
  open(onMessage: (message: T) => void | Promise<void>): Promise<void>;
  /** Stops reading and removes the mailbox; what is sent from then on is refused. */
  close(): Promise<void>;
}

export interface Post<T> {
  /** `false` when nobody has read this mailbox for a while, or it is full: the process is gone or stuck. */
  send(address: string, message: T): Promise<boolean>;
}
