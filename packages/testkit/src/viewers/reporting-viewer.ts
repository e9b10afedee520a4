import type { SignalMessage, ViewerMessage, ViewerReport } from '@humancast/protocol';

/** A viewer that sends playback reports and plays nothing. */
export class ReportingViewer {
  readonly #socket: WebSocket;
  #connection: string | undefined;

  /** Resolves when a host has sent it an offer. */
  static async join(signalingUrl: string, session: string, token: string): Promise<ReportingViewer> {
    const viewer = new ReportingViewer(`${signalingUrl.replace(/^http/, 'ws')}/v1/signal`);
    await viewer.#begin(session, token);
    return viewer;
  }

  private constructor(url: string) {
    this.#socket = new WebSocket(url);
  }

  report(report: ViewerReport): void {
    if (this.#connection !== undefined) this.#send({ type: 'report', connection: this.#connection, report });
  }

  close(): void {
    this.#send({ type: 'leave' });
    this.#socket.close();
  }

  #begin(session: string, token: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.onopen = () => this.#send({ type: 'join', session, token });
      this.#socket.onclose = ({ code }) => reject(new Error(`signaling closed with ${code}`));
      this.#socket.onmessage = ({ data }) => {
        const message = JSON.parse(String(data)) as SignalMessage;
        if (message.type !== 'offer') return;
        this.#connection = message.connection;
        resolve();
      };
    });
  }

  #send(message: ViewerMessage): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}
