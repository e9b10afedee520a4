import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Cleanup } from '@humancast/testkit';
import { z } from 'zod';

const SCRIPT = fileURLToPath(new URL('../sync-peer/peer.py', import.meta.url));
/** Debian's Python, which has python3-aiortc. */
const PYTHON = process.env['PEER_PYTHON'] ?? '/usr/bin/python3';
const END_TIMEOUT_MS = 5000;
const messageSchema = z.object({ ready: z.literal(true).optional(), offer: z.string().optional() });

/** The process of the design for comparison, for one viewer. */
export class Peer {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** Resolves when it has loaded the clip. */
  static async start(cleanup: Cleanup, clip: string): Promise<Peer> {
    const peer = new Peer(clip);
    cleanup.add(() => peer.close());
    await peer.#read();
    return peer;
  }

  private constructor(clip: string) {
    this.#child = spawn(PYTHON, [SCRIPT, clip], { stdio: ['pipe', 'pipe', 'inherit'] });
    const { stdout } = this.#child;
    if (!stdout) throw new Error('no output');
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  async offer(): Promise<string> {
    this.#say({ viewer: true });
    return (await this.#read()).offer ?? '';
  }

  answer(sdp: string): void {
    this.#say({ answer: sdp });
  }

  async close(): Promise<void> {
    if (this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), END_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }

  #say(message: unknown): void {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`);
  }

  async #read(): Promise<z.infer<typeof messageSchema>> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`the aiortc peer ended; is python3-aiortc installed for ${PYTHON}?`);
    return messageSchema.parse(JSON.parse(value));
  }
}
