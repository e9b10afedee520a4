import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { build } from 'vite';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
/** The policy that signaling sends with every page. */
const POLICY =
  "default-src 'self'; connect-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'";

/** The console as built, in a folder of its own. */
export class BuiltPage {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async build(): Promise<BuiltPage> {
    const outDir = mkdtempSync(join(tmpdir(), 'humancast-console-'));
    const root = fileURLToPath(new URL('..', import.meta.url));
    await build({ root, logLevel: 'silent', build: { outDir, emptyOutDir: true } });
    return new BuiltPage(outDir);
  }

  serve(pathname: string, response: ServerResponse): void {
    const path = join(this.#folder, normalize(pathname === '/' ? '/index.html' : pathname));
    if (!path.startsWith(this.#folder) || !existsSync(path)) {
      response.writeHead(404).end();
      return;
    }
    const type = TYPES[extname(path)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type, 'content-security-policy': POLICY }).end(readFileSync(path));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** @returns A list that errors of a page are added to: a blocked script, a missing file, an exception. */
export function errorsOf(page: Page): string[] {
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  return errors;
}
