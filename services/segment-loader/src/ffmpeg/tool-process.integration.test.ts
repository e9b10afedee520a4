import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { inputUrl, outputUrl, ToolProcess } from './tool-process.js';

const args = ['-v', 'error', '-f', 'lavfi', '-i', 'color=s=16x16', '-frames:v', '1'];

describe('ToolProcess', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'humancast-tool-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('passes inputs and outputs without names', async () => {
    const input = await open(new URL(import.meta.url));
    const args = ['-v', 'error', '-f', 'u8', '-i', inputUrl(0), '-f', 'u8', outputUrl(0, 1)];
    const tool = new ToolProcess('ffmpeg', args, [input.fd], 1);
    tool.stdout.resume();
    tool.stderr.resume();
    const [output] = await Promise.all([tool.outputs[0]?.toArray(), tool.exited]);
    expect(Buffer.concat(output ?? []).equals(await input.readFile())).toBe(true);
    await input.close();
  });

  it('cannot write to a disk', async () => {
    const tool = new ToolProcess('ffmpeg', [...args, join(folder, 'out.bmp')]);
    tool.stdout.resume();
    tool.stderr.resume();
    const { code, signal } = await tool.exited;
    expect([code, signal]).not.toEqual([0, null]);
    for (const name of await readdir(folder)) expect((await stat(join(folder, name))).size).toBe(0);
  });

  it("passes none of the service's environment", async () => {
    vi.stubEnv('FFREPORT', `file=${join(folder, 'report.log')}:level=32`);
    const tool = new ToolProcess('ffmpeg', [...args, '-f', 'null', '-']);
    tool.stdout.resume();
    tool.stderr.resume();
    expect((await tool.exited).code).toBe(0);
    vi.unstubAllEnvs();
    expect(await readdir(folder)).not.toContain('report.log');
  });

  it('distinguishes a missing tool from one that fails', async () => {
    vi.stubEnv('PATH', '/nowhere');
    const missing = new ToolProcess('ffmpeg', ['-version']);
    vi.unstubAllEnvs();
    expect(await missing.exited).toMatchObject({ notInstalled: true });
    const failing = new ToolProcess('ffmpeg', ['-no_such_option']);
    expect(await failing.exited).toMatchObject({ notInstalled: false, code: 1 });
  });

  it('stops at once, at any time and repeatedly', async () => {
    const tool = new ToolProcess('ffmpeg', ['-v', 'error', '-re', '-f', 'lavfi', '-i', 'color', '-f', 'null', '-']);
    tool.kill();
    expect(await tool.exited).toMatchObject({ signal: 'SIGKILL' });
    tool.kill();
  });
});
