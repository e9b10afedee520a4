/** The alerts that are sent or handled (RFC 5246 §7.2). */
export const ALERT = {
  closeNotify: 0,
  unexpectedMessage: 10,
  handshakeFailure: 40,
  badCertificate: 42,
  unsupportedCertificate: 43,
  illegalParameter: 47,
  decodeError: 50,
  decryptError: 51,
  protocolVersion: 70,
  internalError: 80,
} as const;

const LEVEL_WARNING = 1;
const LEVEL_FATAL = 2;

export interface Alert {
  readonly fatal: boolean;
  readonly description: number;
}

/** A handshake is refused for this reason; the fatal alert tells the other end. */
export class DtlsError extends Error {
  override readonly name = 'DtlsError';
  readonly alert: number;

  constructor(alert: number, message: string) {
    super(message);
    this.alert = alert;
  }
}

/** @returns `undefined` if the bytes are not an alert. */
export function readAlert(body: Buffer): Alert | undefined {
  const [level, description] = body;
  if (body.length !== 2 || description === undefined || (level !== LEVEL_WARNING && level !== LEVEL_FATAL)) {
    return undefined;
  }
  return { fatal: level === LEVEL_FATAL, description };
}

/** Every alert but close_notify is fatal. */
export function alertBody(description: number): Buffer {
  return Buffer.from([description === ALERT.closeNotify ? LEVEL_WARNING : LEVEL_FATAL, description]);
}
