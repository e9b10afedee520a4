import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { launchChromium, launchFirefox, type TestChromium, type TestFirefox } from '@humancast/testkit';

/** The interface that both browsers' pages have in common. */
export interface AnyPage {
  addInitScript(script: string): Promise<unknown>;
  goto(url: string): Promise<unknown>;
  evaluate<T>(expression: string): Promise<T>;
  /** A PNG of the viewport. */
  screenshot(): Promise<Buffer>;
  close(): Promise<void>;
}

/** Each browser has a device that beeps, and its person allows every page to use it. */
const MICROPHONE = {
  args: ['--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream'],
  preferences: { 'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true },
};

/** A web site that is not humancast's, at an origin of its own, and both browsers to visit it. */
export class ForeignSite {
  readonly origin: string;
  /** The page that every address of the site shows. */
  html = '';
  readonly #server: Server;
  #chromium: TestChromium | undefined;
  #firefox: TestFirefox | undefined;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (_, response) => response.setHeader('content-type', 'text/html').end(this.html));
    this.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async open(): Promise<ForeignSite> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new ForeignSite(server);
  }

  /** @param options.microphone whether the browsers have a fake microphone. Default: they have none. */
  async launchBrowsers({ microphone = false } = {}): Promise<void> {
    const { args = [], preferences = {} } = microphone ? MICROPHONE : {};
    [this.#chromium, this.#firefox] = await Promise.all([launchChromium({ args }), launchFirefox({ preferences })]);
  }

  /** @returns A new page, of no address yet. */
  async newPage(browser: 'Chromium' | 'Firefox'): Promise<AnyPage> {
    const page = await (browser === 'Chromium' ? this.#chromium?.context.newPage() : this.#firefox?.newPage());
    if (!page) throw new Error('the browsers are not running');
    return page;
  }

  async close(): Promise<void> {
    await this.#chromium?.close();
    await this.#firefox?.close();
    this.#server.close();
  }
}
