import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  freePort,
  launchChromium,
  makeTestClip,
  Producer,
  type Seen,
  type Stack,
  type StackOptions,
  type StackProcess,
  startDemoProducer,
  startStack,
  type TestChromium,
  type TestClipOptions,
  type TestDemoProducer,
  ViewerPage,
  type ViewerPageOptions,
  waitFor,
} from '@humancast/testkit';

/** The demo avatar's media, as shipped. */
const MEDIA = fileURLToPath(new URL('../../media', import.meta.url));

const ONE_RED: Readonly<Record<string, TestClipOptions>> = { 'red.mp4': { color: 'red', seconds: 2 } };

export const isRed = ({ red, green, blue }: Seen) => red > 150 && green < 90 && blue < 90;
export const isGreen = ({ red, green, blue }: Seen) => green > 90 && red < 90 && blue < 90;
export const isBlue = ({ red, green, blue }: Seen) => blue > 150 && green < 90 && red < 90;

/** A stack whose avatar has its idle clips loaded, with its producer, and a browser for viewers. */
export class Scene {
  readonly stack: Stack;
  readonly producer: Producer;
  #browser: TestChromium | undefined;
  #demoProducer: TestDemoProducer | undefined;

  private constructor(stack: Stack) {
    this.stack = stack;
    this.producer = new Producer(stack);
  }

  /**
   * Starts a stack with the avatar `lights`.
   * @param clips Its idle clips by file name. Default: two seconds of red.
   * @param browserArgs Additional arguments of the browser.
   */
  static async start(options: StackOptions = {}, clips = ONE_RED, browserArgs: readonly string[] = []): Promise<Scene> {
    const scene = new Scene(await startStack(options));
    await scene.#setUp(async () => {
      for (const [name, clip] of Object.entries(clips))
        makeTestClip(join(scene.stack.mediaDir, 'lights/idle', name), clip);
      await scene.producer.idleLoaded('lights', Object.keys(clips).length);
    }, browserArgs);
    return scene;
  }

  /**
   * Starts a stack with the avatar `demo` and the demo producer.
   * @param env Additional settings of all processes.
   * @param browserArgs Additional arguments of the browser.
   */
  static async startDemo(
    env: Readonly<Record<string, string>> = {},
    browserArgs: readonly string[] = [],
  ): Promise<Scene> {
    const port = await freePort();
    const options = { mediaDir: MEDIA, env: { SAY_URL: `http://127.0.0.1:${port}`, ...env } };
    const scene = new Scene(await startStack(options));
    await scene.#setUp(async () => {
      scene.#demoProducer = await startDemoProducer(scene.stack, port, env);
      const isLoaded = (count: number) => count > 0;
      await waitFor('an idle clip is loaded', () => scene.producer.idleCount('demo'), isLoaded);
    }, browserArgs);
    return scene;
  }

  get demoProducer(): TestDemoProducer {
    if (!this.#demoProducer) throw new Error('this scene has no demo producer');
    return this.#demoProducer;
  }

  /** @returns An empty page of the browser. */
  async newPage() {
    if (!this.#browser) throw new Error('this scene has no browser');
    return this.#browser.context.newPage();
  }

  /** Opens a page of the first signaling process. */
  async open(path: string, options: ViewerPageOptions = {}): Promise<ViewerPage> {
    return ViewerPage.open(await this.newPage(), this.producer.signaling(path), options);
  }

  /** Opens the page of a session, and waits until its video plays. */
  async watch({ id, token }: { id: string; token: string }): Promise<ViewerPage> {
    const viewer = await this.open(`/?session=${id}&token=${token}`);
    await viewer.playing();
    return viewer;
  }

  /** Lets the browser sleep while `work` runs. */
  async asleep(work: () => Promise<void>): Promise<void> {
    await this.#browser?.asleep(work);
  }

  async stop(): Promise<void> {
    await this.#browser?.close();
    await this.#demoProducer?.stop();
    await this.stack.stop();
  }

  async #setUp(work: () => Promise<void>, browserArgs: readonly string[] = []): Promise<void> {
    try {
      this.#browser = await launchChromium({ args: browserArgs });
      await work();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }
}

/** @returns The process of the media-sender with this id. */
export function senderProcess(stack: Stack, id: string): StackProcess {
  const found = stack.processes.find(({ name, log }) => name === 'media-sender' && log().includes(`"sender":"${id}"`));
  if (!found) throw new Error(`no process is ${id}`);
  return found;
}
