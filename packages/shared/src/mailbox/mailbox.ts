/**
 * A mailbox delivers messages to one process. A message is deleted only after delivery and has an ID by which it is
 * delivered once, so that nothing is lost or duplicated if the reader is late, its connection breaks, or an answer is lost.
 * Messages to a process that is gone are rejected, so that the sender knows. Order is kept per sender. Conformance suite:
 * `testing/mailbox-suite`.
 */
export interface Mailbox<T> {
  readonly address: string;
  /**
   * Starts reading; messages sent earlier are delivered first. Errors of the handler are logged and reading continues; a
   * message of a type unknown to this version is counted and skipped.
   */
  open(onMessage: (message: T) => void | Promise<void>): Promise<void>;
  /** Stops reading and removes the mailbox; later messages are rejected. */
  close(): Promise<void>;
}

export interface MailSender<T> {
  /** @returns `false` if nobody has read this mailbox for a while, or it is full: the process is gone or stuck. */
  send(address: string, message: T): Promise<boolean>;
}
