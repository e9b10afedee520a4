import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { spawnTied } from './tied.js';

const START_TIMEOUT_MS = 30_000;
const COMMAND_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;
/** The line on stderr that names the WebDriver BiDi URL. */
const LISTENING = /WebDriver BiDi listening on (ws:\/\/\S+)/;

type Preferences = Readonly<Record<string, boolean | number | string>>;

/**
 * Apart from autoplay with sound, no preference changes what pages may do, because a page that needs more would not work for
 * users.
 */
const PREFERENCES: Preferences = {
  'app.normandy.enabled': false,
  'app.update.auto': false,
  'browser.aboutwelcome.enabled': false,
  'browser.safebrowsing.downloads.remote.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.page': 0,
  'datareporting.policy.dataSubmissionEnabled': false,
  'extensions.getAddons.cache.enabled': false,
  'extensions.systemAddon.update.enabled': false,
  'media.autoplay.default': 0,
  'media.gmp-manager.updateEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.enabled': false,
};

export interface FirefoxPage {
  /** Runs a script in each document that is loaded from now on, before the document's own scripts. */
  addInitScript(script: string): Promise<void>;
  goto(url: string): Promise<void>;
  /** Evaluates an expression in the page; promises are awaited. The value must be JSON. @throws Error what the page threw. */
  evaluate<T>(expression: string): Promise<T>;
  setViewport(size: { width: number; height: number }): Promise<void>;
  /** A PNG of the viewport. */
  screenshot(): Promise<Buffer>;
  close(): Promise<void>;
}

export interface TestFirefox {
  newPage(): Promise<FirefoxPage>;
  close(): Promise<void>;
}

/**
 * Starts a headless Firefox with its own profile, driven over WebDriver BiDi (https://w3c.github.io/webdriver-bidi/). Uses
 * the system's `firefox-esr`, or the one at `FIREFOX_PATH`.
 * @param options.preferences in addition to those that all tests need.
 * @throws Error if it does not start in time.
 */
export async function launchFirefox({ preferences = {} }: { preferences?: Preferences } = {}): Promise<TestFirefox> {
  const profile = mkdtempSync(join(tmpdir(), 'humancast-firefox-'));
  const lines = Object.entries({ ...PREFERENCES, ...preferences }).map(
    ([name, value]) => `user_pref("${name}", ${JSON.stringify(value)});`,
  );
  writeFileSync(join(profile, 'user.js'), `${lines.join('\n')}\n`);
  const child = spawnTied(
    process.env['FIREFOX_PATH'] ?? '/usr/bin/firefox-esr',
    ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port', '0', 'about:blank'],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { ...process.env, HOME: profile, MOZ_HEADLESS: '1' } },
  );
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', () => resolve());
  });
  const stop = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  try {
    const url = await new Promise<string>((resolve, reject) => {
      let output = '';
      const fail = (why: string) => reject(new Error(`Firefox ${why}:\n${output}`));
      const timer = setTimeout(() => fail('did not start in time'), START_TIMEOUT_MS);
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
        const match = LISTENING.exec(output);
        if (!match?.[1]) return;
        clearTimeout(timer);
        resolve(match[1]);
      });
      void ended.then(() => fail('ended'));
    });
    const connection = await BidiConnection.open(`${url}/session`);
    await connection.command('session.new', { capabilities: {} });
    return {
      async newPage() {
        const { context } = (await connection.command('browsingContext.create', { type: 'tab' })) as {
          context: string;
        };
        return new BidiPage(connection, context);
      },
      async close() {
        connection.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/** Sends commands and matches their answers. Does not subscribe to events. */
class BidiConnection {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data) => this.#receive(JSON.parse(String(data))));
    socket.on('close', () => this.#failAll(new Error('Firefox closed the connection')));
    socket.on('error', (error) => this.#failAll(error));
  }

  static async open(url: string): Promise<BidiConnection> {
    const socket = new WebSocket(url, { perMessageDeflate: false });
    await new Promise<void>((resolve, reject) => {
      socket.once('open', () => resolve());
      socket.once('error', reject);
    });
    return new BidiConnection(socket);
  }

  command(method: string, params: object): Promise<unknown> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new Error(`Firefox did not answer ${method} in time`));
      }, COMMAND_TIMEOUT_MS);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.send(JSON.stringify({ id, method, params }));
    });
  }

  close(): void {
    this.#socket.close();
  }

  #receive(message: { id?: number; type: string; result?: unknown; error?: string; message?: string }): void {
    const waiting = message.id === undefined ? undefined : this.#waiting.get(message.id);
    if (!waiting || message.id === undefined) return;
    this.#waiting.delete(message.id);
    clearTimeout(waiting.timer);
    if (message.type === 'success') waiting.resolve(message.result);
    else waiting.reject(new Error(`${message.error}: ${message.message}`));
  }

  #failAll(error: Error): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
  }
}

interface Evaluation {
  type: 'success' | 'exception';
  result?: { type: string; value?: unknown };
  exceptionDetails?: { text: string };
}

class BidiPage implements FirefoxPage {
  readonly #connection: BidiConnection;
  readonly #context: string;

  constructor(connection: BidiConnection, context: string) {
    this.#connection = connection;
    this.#context = context;
  }

  async addInitScript(script: string): Promise<void> {
    await this.#connection.command('script.addPreloadScript', {
      functionDeclaration: `() => { ${script} }`,
      contexts: [this.#context],
    });
  }

  async goto(url: string): Promise<void> {
    await this.#connection.command('browsingContext.navigate', { context: this.#context, url, wait: 'complete' });
  }

  async evaluate<T>(expression: string): Promise<T> {
    const answer = (await this.#connection.command('script.evaluate', {
      // Uses JSON, because BiDi's serialization of objects and arrays is inconvenient.
      expression: `(async () => JSON.stringify({ value: await (${expression}) }))()`,
      target: { context: this.#context },
      awaitPromise: true,
      userActivation: true,
    })) as Evaluation;
    if (answer.type !== 'success') throw new Error(answer.exceptionDetails?.text ?? 'the page threw');
    return (JSON.parse(String(answer.result?.value)) as { value: T }).value;
  }

  async setViewport(viewport: { width: number; height: number }): Promise<void> {
    await this.#connection.command('browsingContext.setViewport', { context: this.#context, viewport });
  }

  async screenshot(): Promise<Buffer> {
    const { data } = (await this.#connection.command('browsingContext.captureScreenshot', {
      context: this.#context,
    })) as { data: string };
    return Buffer.from(data, 'base64');
  }

  async close(): Promise<void> {
    await this.#connection.command('browsingContext.close', { context: this.#context });
  }
}
