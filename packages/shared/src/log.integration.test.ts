import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const LOG_MODULE = fileURLToPath(new URL('./log.ts', import.meta.url));

/** A process that logs, runs `then`, and exits on its own. */
function logging(then: string): ReturnType<typeof spawn> {
  const script = `
    import { createLogger } from ${JSON.stringify(LOG_MODULE)};
    const logger = createLogger('test', 'info');
    logger.info({ token: 'secret-one', session: 'ses_1', request: { authorization: 'secret-two' }, joined: { resume: 'secret-three' } }, 'first');
    ${then}`;
  return spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: fileURLToPath(new URL('.', import.meta.url)),
  });
}

const exitOf = (child: ReturnType<typeof spawn>) =>
  new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));

describe('createLogger()', () => {
  it('writes one line of JSON with ids as fields and without credentials', async () => {
    const child = logging('');
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    expect(await exitOf(child)).toBe(0);
    expect(JSON.parse(text)).toMatchObject({ level: 'info', service: 'test', session: 'ses_1', msg: 'first' });
    expect(text).not.toContain('secret');
  });

  it('lets a process exit if nobody reads its log', async () => {
    const child = logging(`
      setTimeout(() => {
        for (let i = 0; i < 100; i++) logger.info('into the void');
        process.exit(7);
      }, 100);`);
    child.stdout?.once('data', () => child.stdout?.destroy());
    expect(await exitOf(child)).toBe(7);
  });
});
