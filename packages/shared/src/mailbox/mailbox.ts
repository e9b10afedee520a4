/**
 * Messages to one process. Nothing is lost while the reader is late or its connection is down; what is sent to a
 * process that is gone is refused, so that the sender knows. Order is kept per sender. Conformance suite:
 * `testing/mailbox-suite.ts`.
 */
export interface Mailbox<T> {
  readonly address: string;
  /** Starts reading; messages sent before are delivered first. A handler that throws is logged, and reading goes on. */
  open(onMessage: (message: T) => void | Promise<void>): Promise<void>;
  /** Stops reading and removes the mailbox; what is sent from then on is refused. */
  close(): Promise<void>;
}

export interface Post<T> {
  /** `false` when nobody has read this mailbox for a while, or it is full: the process is gone or stuck. */
  send(address: string, message: T): Promise<boolean>;
}
