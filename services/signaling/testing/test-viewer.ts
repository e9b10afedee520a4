import type { SignalMessage, ViewerMessage } from '@humancast/protocol';
import { waitFor } from '@humancast/testkit';
import { WebSocket } from 'ws';
import type { TestSignaling } from './start-test-signaling.js';

type Of<T extends SignalMessage['type']> = Extract<SignalMessage, { type: T }>;

/** A viewer's side of the signaling protocol, without a browser. */
export class TestViewer {
  readonly ws: WebSocket;
  /** All messages received from signaling. */
  readonly messages: SignalMessage[] = [];
  closed: { code: number; reason: string } | undefined;

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('message', (data) => this.messages.push(JSON.parse(data.toString())));
    ws.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
    });
    ws.on('error', () => {});
  }

  static async connect(
    signaling: Pick<TestSignaling, 'signalUrl'>,
    options: { headers?: Record<string, string>; autoPong?: boolean } = {},
  ): Promise<TestViewer> {
    const viewer = new TestViewer(new WebSocket(signaling.signalUrl, options));
    await waitFor('the WebSocket to open', () => viewer.ws.readyState === WebSocket.OPEN || viewer.closed);
    return viewer;
  }

  /** Connects and joins. */
  static async join(
    signaling: Pick<TestSignaling, 'signalUrl'>,
    session: { id: string; token: string },
    rest: { viewer?: string; resume?: string; connection?: string } = {},
  ): Promise<TestViewer> {
    const viewer = await TestViewer.connect(signaling);
    viewer.send({ type: 'join', session: session.id, token: session.token, ...rest });
    await viewer.received('joined');
    return viewer;
  }

  /** HTTP status with which the WebSocket was rejected; `undefined` if it was just closed. */
  static async rejected(
    signaling: { signalUrl: string },
    headers: Record<string, string> = {},
  ): Promise<number | undefined> {
    const ws = new WebSocket(signaling.signalUrl, { headers });
    return new Promise((resolve, reject) => {
      ws.on('error', () => resolve(undefined));
      ws.on('unexpected-response', (_, response) => {
        resolve(response.statusCode ?? 0);
        ws.terminate();
      });
      ws.on('open', () => reject(new Error('was accepted')));
    });
  }

  get id(): string {
    return this.#joined.viewer;
  }

  get #joined(): Of<'joined'> {
    const joined = this.messages.find((message) => message.type === 'joined');
    if (!joined) throw new Error('has not joined');
    return joined;
  }

  /** Fields of a `join` that resumes. */
  get resumeFields(): { viewer: string; resume: string } {
    const { viewer, resume } = this.#joined;
    return { viewer, resume };
  }

  send(message: ViewerMessage): void {
    this.ws.send(JSON.stringify(message));
  }

  /** @returns The first message of a type, already received or awaited. */
  received<T extends SignalMessage['type']>(
    type: T,
    matches: (message: Of<T>) => boolean = () => true,
  ): Promise<Of<T>> {
    return waitFor(`${type} at the viewer`, () =>
      this.messages.find((item): item is Of<T> => item.type === type && matches(item as Of<T>)),
    );
  }

  /** @returns The close code, already received or awaited. */
  closure(): Promise<{ code: number; reason: string }> {
    return waitFor('the WebSocket to close', () => this.closed);
  }
}
