import type { AddressInfo } from 'node:net';
import { closeCodeOf, type ErrorCode, type Heard } from '@humancast/protocol';
import { packHeard } from '@humancast/shared';
import { WebSocketServer } from 'ws';

/** Signaling's side of listening: sends frames, and then an error. */
export class FakeListen {
  readonly #wss: WebSocketServer;
  /** Path and key of each listener. */
  readonly listeners: { path: string | undefined; authorization: string | undefined }[] = [];

  private constructor(wss: WebSocketServer) {
    this.#wss = wss;
  }

  static async start(frames: readonly Heard[], end: ErrorCode): Promise<FakeListen> {
    const wss = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    const fake = new FakeListen(wss);
    wss.on('connection', (ws, { url, headers }) => {
      fake.listeners.push({ path: url, authorization: headers.authorization });
      ws.send(JSON.stringify({ type: 'listening', sampleRate: 16_000, frameMs: 20 }));
      frames.forEach((heard, i) => {
        const pcm = Buffer.from(new Int16Array(320).fill(i - 1).buffer);
        ws.send(packHeard({ heard, pcm }));
      });
      ws.send(JSON.stringify({ type: 'error', code: end, message: 'over' }));
      ws.close(closeCodeOf(end), end);
    });
    await new Promise((resolve) => wss.once('listening', resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#wss.address() as AddressInfo).port}`;
  }

  close(): void {
    for (const client of this.#wss.clients) client.terminate();
    this.#wss.close();
  }
}
