import { spawn } from 'node:child_process';
import { chmod, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLogger } from '@humancast/shared';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ENCODER_SOURCES } from '../../testing/encoder-sources.js';
import { currentSandbox, encoderCommandLine, enterSandbox } from './current-sandbox.js';
import { detectLayers, missingLayers, NO_LAYERS, sandboxed, toolEnvironment } from './sandbox.js';
import { inputUrl, ToolProcess } from './tool-process.js';

const LIMITS = { addressSpaceBytes: 2 ** 30, cpuSeconds: 5, openFiles: 64 };

/** Attempts of a compromised decoder, run the same way as ffmpeg. */
describe('ffmpeg sandbox', () => {
  let folder: string;
  let secret: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'humancast-sandbox-'));
    await chmod(folder, 0o755);
    secret = join(folder, 'secret');
    await writeFile(secret, 'sesame', { mode: 0o444 });
    enterSandbox({
      mode: 'auto',
      cpuSeconds: 60,
      encoderCommand: ENCODER_SOURCES,
      logger: createLogger('test', 'fatal'),
    });
  });
  afterEach(() => vi.unstubAllEnvs());
  afterAll(() => rm(folder, { recursive: true, force: true }));

  /** Runs a script in place of ffmpeg. */
  async function standIn(interpreter: string, script: string, inputs: number[] = []) {
    await writeFile(join(folder, 'ffmpeg'), `#!${interpreter}\n${script}\n`, { mode: 0o755 });
    vi.stubEnv('PATH', `${folder}:${process.env['PATH']}`);
    const tool = new ToolProcess('ffmpeg', [], inputs);
    const [out, err, exit] = await Promise.all([tool.stdout.toArray(), tool.stderr.toArray(), tool.exited]);
    return { out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString(), ...exit };
  }

  it('is fully active on this machine', () => {
    const { tools, encoder } = currentSandbox();
    expect(tools && missingLayers(tools)).toEqual([]);
    expect(encoder && missingLayers(encoder)).toEqual([]);
  });

  it('prevents sockets, to the network and to neighbors', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    const connected = vi.fn();
    server.on('connection', connected);
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const script = `
use Socket;
for my $family (AF_INET, AF_INET6, AF_UNIX) { print socket(my $s, $family, SOCK_STREAM, 0) ? "socket " : "rejected " }
if (socket(my $s, AF_INET, SOCK_STREAM, 0)) { connect($s, sockaddr_in(${port}, inet_aton('127.0.0.1'))) }`;
    const { out } = await standIn('/usr/bin/perl', script);
    server.close();
    expect(out).toBe('rejected rejected rejected ');
    expect(connected).not.toHaveBeenCalled();
  });

  it("prevents reading secrets: other files, the environment, the service's memory", async () => {
    const script = `
for my $name ('${secret}', '/etc/passwd', '/proc/${process.pid}/environ', '/proc/${process.pid}/mem', '/proc/self/environ') {
  print "read $name " if open(my $f, '<', $name);
}
print "listed " if opendir(my $d, '${folder}');
print "killed " if kill 9, ${process.pid};
print join ' ', sort keys %ENV;`;
    vi.stubEnv('TOKEN_SECRET', 'sesame');
    expect((await standIn('/usr/bin/perl', script)).out).toBe('AV_LOG_FORCE_NOCOLOR LC_ALL OPENSSL_CONF PATH');
  });

  it('permits reading its inputs, including those without a name', async () => {
    const file = await open(secret);
    const { out } = await standIn('/usr/bin/perl', `open(my $f, '<', '/dev/fd/3') or die $!; print <$f>`, [file.fd]);
    await file.close();
    expect(out).toBe('sesame');
    expect(inputUrl(0)).toBe('file:/dev/fd/3');
  });

  it('prevents starting processes', async () => {
    const { out } = await standIn(
      '/usr/bin/perl',
      `my $made = 0; for (1 .. 100) { my $pid = fork; exit 0 if defined $pid && !$pid; $made++ if defined $pid } print $made`,
    );
    expect(out).toBe('0');
  });

  it('prevents writing, changing and creating files', async () => {
    const script = `
print open(my $f, '>', '${join(folder, 'made')}') ? 'made ' : 'rejected ';
print open(my $g, '>>', '${secret}') ? 'changed ' : 'rejected ';
print unlink('${secret}') ? 'removed ' : 'rejected ';
print mkdir('${join(folder, 'folder')}') ? 'made' : 'rejected'`;
    expect((await standIn('/usr/bin/perl', script)).out).toBe('rejected rejected rejected rejected');
  });

  it('limits memory, descriptors and privileges', async () => {
    const memory = await standIn('/usr/bin/perl', `my $much = 'x' x (5 * 2 ** 30); print "allocated"`);
    expect(memory.out).toBe('');
    expect(memory.code).not.toBe(0);
    const files = await standIn(
      '/usr/bin/perl',
      `my @all; while (open(my $f, '<', '/dev/null')) { push @all, $f } print scalar @all < 260 ? 'bounded' : 'many'`,
    );
    expect(files.out).toBe('bounded');
    const who = await standIn('/usr/bin/perl', `print "$< $> ", $) =~ /^65534( 65534)*$/ ? 'alone' : $)`);
    if (process.getuid?.() === 0) expect(who.out).toBe('65534 65534 alone');
  });

  it('ends the process after its CPU time limit', async () => {
    const command = { program: '/usr/bin/perl', args: ['-e', '1 while 1'] };
    const { program, args } = sandboxed(command, currentSandbox().tools ?? NO_LAYERS, {
      limits: { ...LIMITS, cpuSeconds: 1 },
    });
    const child = spawn(program, args);
    const signal = await new Promise((resolve) => child.once('exit', (_, by) => resolve(by)));
    expect(signal).toBe('SIGKILL');
  });

  it('permits the live encoder what it needs, and nothing else', () => {
    const { program, args } = encoderCommandLine(['-e', '']);
    const at = args.indexOf('-e', args.indexOf('--') + 1);
    expect(program).toBe('/usr/bin/perl');
    const attempts = `
      console.log('nice', require('node:os').getPriority());
      const tried = (what) => { try { what(); return 'done'; } catch (error) { return error.code; } };
      const { readFileSync, readdirSync } = require('node:fs');
      console.log(tried(() => readFileSync(${JSON.stringify(secret)})), tried(() => readdirSync('/etc')),
        require('node:child_process').spawnSync('/bin/true').error?.code);
      require('node:net').connect(9, '127.0.0.1').on('error', (error) => console.log(error.code));`;
    // The same priority as this process: live pushes must keep up.
    const expected = new RegExp(`^nice ${getPriority()}\\nEACCES EACCES E(PERM|ACCES)\\nE(PERM|ACCES)\\n$`);
    return new Promise<void>((resolve, reject) => {
      const child = spawn(program, args.with(at + 1, attempts), { env: toolEnvironment() });
      const out: Buffer[] = [];
      child.stdout?.on('data', (data: Buffer) => out.push(data));
      child.once('close', () => {
        try {
          expect(Buffer.concat(out).toString()).toMatch(expected);
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
  });

  it('prevents the start in strict mode if it is incomplete, and names what is missing', () => {
    vi.stubEnv('PATH', '/nowhere');
    const options = {
      mode: 'strict',
      cpuSeconds: 60,
      encoderCommand: ['-e', 'process.exit(1)'],
      logger: createLogger('test', 'fatal'),
    } as const;
    expect(detectLayers({ program: 'ffmpeg', args: [] }, { limits: LIMITS })).toBeUndefined();
    expect(() => enterSandbox(options)).toThrow(/FFMPEG_SANDBOX=strict: the encoder would run without/);
  });
});
