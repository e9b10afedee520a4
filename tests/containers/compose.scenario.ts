import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import {
  ephemeral,
  launchChromium,
  makeTestClip,
  type TestChromium,
  TurnClient,
  ViewerPage,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Compose, type Container, MEDIA_NET, makeCertificate, serviceOf } from './compose.js';
import { type Engine, startEngine } from './engine.js';

const FORBIDDEN = 403;
/** Exit code of a process killed by SIGKILL: 128 plus the signal's number. */
const KILLED = 137;
/** Peer address family mismatch (RFC 8656 §18.3): an IPv4 relay cannot reach an IPv6 peer, mapped or not. */
const OTHER_FAMILY = 443;

/** Attempts of a compromised decoder: to read a secret, open a socket, start a process. */
const ATTEMPTS = `use Socket;
$| = 1;
print open(my $f, '<', '/run/humancast/redis-media.segment-loader.url') ? 'done ' : 'denied ';
print socket(my $s, AF_INET, SOCK_STREAM, 0) ? 'done ' : 'denied ';
my $pid = fork; exit 0 if defined $pid && !$pid;
print defined $pid ? 'done' : 'denied';`;
/** Makes these attempts as the service's user, then in the sandbox in which the service runs ffmpeg. */
const TAKEN_OVER = `
import { spawnSync } from 'node:child_process';
import { currentSandbox } from '/app/services/segment-loader/dist/ffmpeg/current-sandbox.js';
import { sandboxed } from '/app/services/segment-loader/dist/ffmpeg/sandbox.js';
const alone = { program: '/usr/bin/perl', args: ['-e', ${JSON.stringify(ATTEMPTS)}] };
const inside = sandboxed(alone, currentSandbox().tools, { limits: { cpuSeconds: 5, openFiles: 64 } });
for (const [name, { program, args }] of Object.entries({ alone, sandboxed: inside })) {
  console.log(name + ': ' + spawnSync(program, args, { encoding: 'utf8' }).stdout);
}`;

/** `docker compose up`, and what may happen to it. Traffic stays on this machine. */
describe('docker compose', () => {
  let engine: Engine;
  let compose: Compose;
  let browser: TestChromium;
  let key: string;

  beforeAll(async () => {
    engine = await startEngine();
    compose = await Compose.create(engine);
    makeTestClip(join(compose.mediaDir, 'lights/idle/red.mp4'), { color: 'red', seconds: 3 });
    execFileSync('chmod', ['-R', 'a+rX', compose.mediaDir]);
    const { certificate, key: certificateKey } = makeCertificate(compose.dir);
    compose.useCertificate(certificate, certificateKey);
    timed('base images', () => compose.makeBases());
    timed('build', () => compose.run('build'));
    // The relay's certificate is self-signed here; openssl checks below that it is the right one.
    browser = await launchChromium({ args: ['--ignore-certificate-errors'] });
  });

  afterAll(async () => {
    await browser?.close();
    compose?.remove();
    await engine?.stop();
  });

  /** Creates a session and its viewer. */
  async function watch(): Promise<{ id: string; viewer: ViewerPage }> {
    const { id, token } = await createSession();
    const page = await browser.context.newPage();
    return { id, viewer: await ViewerPage.open(page, compose.url('SIGNALING_PORT', `/?session=${id}&token=${token}`)) };
  }

  const authorized = () => ({ authorization: `Bearer ${key}`, 'content-type': 'application/json' });

  async function createSession(): Promise<{ id: string; token: string }> {
    const url = compose.url('SIGNALING_PORT', '/v1/sessions');
    const response = await request(url, { method: 'POST', headers: authorized(), body: '{"avatar":"lights"}' });
    if (response.status !== 201) throw new Error(`POST /v1/sessions: ${response.status} ${await response.text()}`);
    return (await response.json()) as { id: string; token: string };
  }

  async function hostOf(id: string): Promise<string> {
    const response = await request(compose.url('SIGNALING_PORT', `/v1/sessions/${id}`), { headers: authorized() });
    return ((await response.json()) as { host: string }).host;
  }

  /** Waits until services are healthy, except killed ones, and the idle clip is loaded. */
  async function untilPlayable(): Promise<void> {
    await waitFor(
      'all containers are healthy, and the idle clip is loaded',
      async () => {
        const unwell = compose
          .containers()
          .filter((container) => !isWell(container) && container.State.ExitCode !== KILLED);
        const url = compose.url('LOADER_PORT', '/v1/avatars/lights');
        const response = await request(url, { headers: authorized() }).catch(() => undefined);
        const avatar = response?.ok ? ((await response.json()) as { idlePlaylist: string[] }) : undefined;
        return { unwell: unwell.map(serviceOf), idle: avatar?.idlePlaylist.length ?? 0 };
      },
      ({ unwell, idle }) => unwell.length === 0 && idle === 1,
      60_000,
    );
  }

  const advances = async (viewer: ViewerPage, timeoutMs = 20_000, after = '') => {
    const before = (await viewer.see()).framesDecoded;
    await waitFor(
      `video to continue ${after}`,
      async () => (await viewer.see().catch(() => undefined))?.framesDecoded ?? 0,
      // A new connection counts from zero.
      (now) => now > before + 15 || (now < before && now > 15),
      timeoutMs,
    );
  };

  it('comes up healthy, and plays', async () => {
    const since = performance.now();
    compose.run('up', '-d');
    key = compose.newKey('tests');
    await untilPlayable();
    const { viewer } = await watch();
    await viewer.playing();
    console.log(`up to playing: ${seconds(since)}`);
    await viewer.page.close();
    expect(compose.containersOf('secrets').map(({ State }) => State.ExitCode)).toEqual([0]);
  });

  it('decodes an uploaded file in the full sandbox, and plays it', async () => {
    const sandbox = logLines('segment-loader').find(({ msg }) => msg.startsWith('ffmpeg sandbox'));
    expect(sandbox).toMatchObject({
      msg: 'ffmpeg sandbox is in force',
      ffmpeg: { files: true, calls: true },
      encoder: { files: true, calls: true },
    });
    const file = join(compose.dir, 'green.mp4');
    makeTestClip(file, { color: 'green', seconds: 10, toneHz: 440 });
    const form = new FormData();
    form.set('file', new Blob([readFileSync(file)]), 'green.mp4');
    const upload = await request(compose.url('LOADER_PORT', '/v1/segments?avatar=lights'), {
      method: 'POST',
      headers: { authorization: `Bearer ${key}` },
      body: form,
    });
    expect(upload.status).toBe(201);
    const { id: segment } = (await upload.json()) as { id: string };
    const { id, viewer } = await watch();
    await viewer.playing();
    const speak = await request(compose.url('SIGNALING_PORT', `/v1/sessions/${id}/speak`), {
      method: 'POST',
      headers: authorized(),
      body: JSON.stringify({ segments: [segment] }),
    });
    expect(speak.status).toBe(202);
    await waitFor(
      'the uploaded video is seen',
      () => viewer.see(),
      ({ red, green }) => green > 80 && red < 60,
      10_000,
    );
    await viewer.page.close();
  });

  it('a compromised decoder reaches no secrets, sockets or processes, also without Landlock or seccomp', () => {
    const loader = compose.containersOf('segment-loader')[0]?.Id ?? '';
    const attempt = (...where: string[]) =>
      compose
        .docker(...where, 'node', '--input-type=module', '-e', TAKEN_OVER)
        .trim()
        .split('\n');
    expect(attempt('exec', loader)).toEqual(['alone: done done done', 'sandboxed: denied denied denied']);
    const without = (...calls: string[]) => {
      const profile = join(compose.dir, `without-${calls[0]}.json`);
      const rule = { names: calls, action: 'SCMP_ACT_ERRNO', errnoRet: 38 };
      writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule] }));
      return [
        'run',
        '--rm',
        '--volumes-from',
        `${loader}:ro`,
        '--cap-drop',
        'ALL',
        '--security-opt',
        `seccomp=${profile}`,
      ];
    };
    const withoutLandlock = without('landlock_create_ruleset');
    const groups = ['--group-add', '2002', 'humancast/segment-loader'];
    expect(attempt(...withoutLandlock, ...groups).at(-1)).toBe('sandboxed: done denied denied');
    expect(attempt(...without('seccomp'), ...groups).at(-1)).toBe('sandboxed: denied done done');
    const strict = [
      '-e',
      'FFMPEG_SANDBOX=strict',
      '-e',
      'REDIS_QUEUE_URL=redis://x',
      '-e',
      'REDIS_MEDIA_URL=redis://x',
    ];
    expect(() => compose.docker(...withoutLandlock, ...strict, ...groups)).toThrow(
      'the ffmpeg would run without: files (Landlock',
    );
  });

  it('no container runs as root, has capabilities, a writable file system or unlimited resources', () => {
    const running = compose.containers().filter(({ State }) => State.Status === 'running');
    expect(running.length).toBeGreaterThan(6);
    for (const container of running) {
      const { HostConfig, Id } = container;
      const service = serviceOf(container);
      const users = compose
        .docker('top', Id, '-o', 'pid,uid')
        .trim()
        .split('\n')
        .slice(1)
        .map((line) => Number(line.trim().split(/\s+/)[1]));
      expect({ service, ...HostConfig }).toMatchObject({
        service,
        ReadonlyRootfs: true,
        CapDrop: ['ALL'],
        SecurityOpt: ['no-new-privileges:true'],
      });
      if (service !== 'coturn') expect({ service, added: HostConfig.CapAdd ?? [] }).toEqual({ service, added: [] });
      expect(users.length).toBeGreaterThan(0);
      expect(users.filter((uid) => !(uid > 0))).toEqual([]);
      expect(HostConfig.PidsLimit).toBeGreaterThan(0);
      expect(HostConfig.LogConfig.Config['max-size']).toBeDefined();
    }
  });

  it('ports are published to this machine only, and none of media-senders and databases', () => {
    const published = compose.containers().map((container) => ({
      service: serviceOf(container),
      to: Object.entries(container.HostConfig.PortBindings ?? {}).flatMap(([port, bindings]) =>
        (bindings ?? []).map(({ HostIp }) => `${HostIp} ${port}`),
      ),
    }));
    for (const { to } of published) for (const binding of to) expect(binding).toMatch(/^127\.0\.0\.1 /);
    const portsOf = (name: string) =>
      published.find(({ service }) => service === name)?.to.map((to) => to.split(' ')[1]);
    expect(portsOf('coturn')?.sort()).toEqual(['3478/tcp', '3478/udp', '5349/tcp']);
    expect(portsOf('signaling')).toEqual(['8080/tcp']);
    expect(portsOf('segment-loader')).toEqual(['8081/tcp']);
    for (const name of ['media-sender', 'redis-queue', 'redis-media', 'demo-producer'])
      expect(portsOf(name)).toEqual([]);
  });

  it('secrets are visible only to their services, and in no environment, command line or log', async () => {
    const secrets = readSecrets();
    expect(secrets.length).toBeGreaterThan(10);
    const seen = `${JSON.stringify(compose.docker('inspect', ...compose.containers().map(({ Id }) => Id)))}${compose.logs()}`;
    for (const { name, value } of [...secrets, { name: 'API key', value: key }]) {
      expect({ name, shown: seen.includes(value) }).toEqual({ name, shown: false });
    }
    const reads = (service: string, file: string) => {
      try {
        return compose.run('exec', '-T', service, 'cat', `/run/humancast/${file}`).length > 0;
      } catch {
        return false;
      }
    };
    expect(reads('signaling', 'token-secret')).toBe(true);
    expect(reads('segment-loader', 'token-secret')).toBe(false);
    expect(reads('media-sender', 'turn-secret')).toBe(false);
    expect(reads('media-sender', 'redis-queue.signaling.url')).toBe(false);
    expect(reads('coturn', 'token-secret')).toBe(false);
  });

  it('API keys are stored as hashes, and a revoked key is rejected without a restart', async () => {
    const second = compose.newKey('second');
    const admitted = async (url: string) => {
      const response = await request(url, { headers: { authorization: `Bearer ${second}` } });
      return response.ok;
    };
    const doors = [compose.url('SIGNALING_PORT', '/v1/sessions'), compose.url('LOADER_PORT', '/v1/avatars')];
    const ask = () => Promise.all(doors.map(admitted));
    await waitFor('the key to be accepted by both services', ask, (open) => open.every(Boolean), 5000);
    compose.run('run', '--rm', 'secrets', 'api-key', 'revoke', 'second');
    await waitFor('the key to be rejected by both services', ask, (open) => !open.some(Boolean), 5000);
    expect(readFileSecret('api-keys')).not.toContain(second);
  });

  it('a viewer plays over TCP if UDP is blocked, and over TLS if that is blocked, too', async () => {
    /** Both addresses at which this machine's browsers may reach coturn: see TURN_LOCAL_URLS in docker-compose.yml. */
    const toRelay = [
      ['-o', 'lo', '--dport', String(compose.ports.TURN_PORT)],
      ['-d', `${MEDIA_NET}.10`, '--dport', '3478'],
    ];
    const iptables = (action: '-I' | '-D', rule: string[]) => execFileSync('iptables', ['-w', action, ...rule]);
    const blocked: string[][] = [];
    const block = (protocol: string) => {
      for (const match of toRelay) {
        const rule = ['OUTPUT', '-p', protocol, ...match, '-j', 'DROP'];
        iptables('-I', rule);
        blocked.push(rule);
      }
    };
    try {
      for (const [protocol, next] of [
        ['', 'udp'],
        ['udp', 'tcp'],
        ['tcp', 'tls'],
      ] as const) {
        if (protocol !== '') block(protocol);
        const since = performance.now();
        const { viewer } = await watch();
        await viewer.playing();
        console.log(`plays over ${next}: ${seconds(since)}`);
        expect(await relayProtocol(viewer)).toBe(next);
        await viewer.page.close();
      }
    } finally {
      for (const rule of blocked) iptables('-D', rule);
    }
  });

  it('coturn relays only to media-senders, and only with valid credentials, without disturbing a viewer', async () => {
    const { viewer } = await watch();
    await viewer.playing();
    const before = await viewer.see();
    const since = performance.now();
    const turnSecret = readFileSecret('turn-secret');
    await refuseStrangers(turnSecret);
    await refusePeers(turnSecret);
    await refuseFloods(turnSecret);
    const after = await viewer.see();
    const perSecond = (after.framesReceived - before.framesReceived) / ((after.atMs - before.atMs) / 1000);
    expect(performance.now() - since).toBeGreaterThan(500);
    expect(perSecond).toBeGreaterThan(27);
    await viewer.page.close();
  });

  async function refuseStrangers(secret: string): Promise<void> {
    const expired = ephemeral(secret, -60);
    const mine = ephemeral(secret, 600);
    const extended = { ...mine, username: ephemeral(secret, 6000).username };
    for (const credentials of [
      ephemeral('guessed', 600),
      expired,
      extended,
      { username: 'admin', password: 'admin' },
    ]) {
      await withTurn(credentials, async (turn) => expect(await turn.allocate()).toBe(401));
    }
    // The previous and the next secret: coturn already accepts the next one, so that a rotation needs no restart.
    await withTurn(ephemeral(readFileSecret('turn-secret-next'), 600), async (turn) =>
      expect(await turn.allocate()).toBe(0),
    );
  }

  async function refusePeers(secret: string): Promise<void> {
    const containers = compose.containers();
    const addresses = containers.flatMap((container) =>
      Object.values(container.NetworkSettings.Networks)
        .map(({ IPAddress }) => IPAddress)
        .filter(
          (address) => address !== '' && !(serviceOf(container) === 'media-sender' && address.startsWith(MEDIA_NET)),
        ),
    );
    const gateways = containers.flatMap(({ NetworkSettings }) =>
      Object.values(NetworkSettings.Networks).map(({ Gateway }) => Gateway),
    );
    const host = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
    const others = [
      '127.0.0.1',
      '0.0.0.0',
      '169.254.169.254',
      '10.0.0.1',
      '192.168.1.1',
      '8.8.8.8',
      `${MEDIA_NET}.1`,
      '224.0.0.1',
    ];
    const [ipv4, ipv6] = [
      [...addresses, ...gateways, ...host, ...others],
      ['::1', '::ffff:127.0.0.1', '::127.0.0.1'],
    ];
    const sender = compose.containersOf('media-sender')[0]?.NetworkSettings.Networks;
    const senderAddress =
      Object.values(sender ?? {}).find(({ IPAddress }) => IPAddress.startsWith(MEDIA_NET))?.IPAddress ?? '';
    await withTurn(ephemeral(secret, 600), async (turn) => {
      expect(await turn.allocate()).toBe(0);
      for (const address of new Set(ipv4.filter((text) => /^[\d.]+$/.test(text)))) {
        expect({ address, permit: await turn.permit(address) }).toEqual({ address, permit: FORBIDDEN });
        expect({ address, bind: await turn.bindChannel(address) }).toEqual({ address, bind: FORBIDDEN });
      }
      for (const address of [
        ...ipv6,
        `::ffff:${senderAddress}`,
        '::ffff:169.254.169.254',
        `64:ff9b::${senderAddress}`,
      ]) {
        const permit = await turn.permit(address);
        expect({ address, denied: permit === FORBIDDEN || permit === OTHER_FAMILY }).toEqual({
          address,
          denied: true,
        });
      }
      expect(await turn.permit(senderAddress)).toBe(0);
    });
    for (const options of [{ transport: 'tcp' as const }, { ipv6: true }]) {
      await withTurn(ephemeral(secret, 600), async (turn) =>
        expect(await turn.allocate(options)).toBeGreaterThanOrEqual(400),
      );
    }
  }

  /** One credential gets its quota of allocations, and no more. */
  async function refuseFloods(secret: string): Promise<void> {
    const credentials = ephemeral(secret, 600, 'flood');
    const clients = Array.from({ length: 60 }, () => new TurnClient(compose.ports.TURN_PORT, credentials));
    try {
      const verdicts = await Promise.all(clients.map((client) => client.allocate()));
      const quotaReached = 486;
      expect(new Set(verdicts)).toEqual(new Set([0, quotaReached]));
      expect(verdicts.filter((verdict) => verdict === 0).length).toBeLessThanOrEqual(24);
    } finally {
      for (const client of clients) client.close();
    }
  }

  async function withTurn(credentials: ReturnType<typeof ephemeral>, use: (turn: TurnClient) => Promise<void>) {
    const turn = new TurnClient(compose.ports.TURN_PORT, credentials);
    try {
      await use(turn);
    } finally {
      turn.close();
    }
  }

  it('coturn offers TURN over TLS with the configured certificate', () => {
    const answer = execFileSync(
      'openssl',
      [
        's_client',
        '-connect',
        `127.0.0.1:${compose.ports.TURN_TLS_PORT}`,
        '-CAfile',
        join(compose.dir, 'turn.pem'),
        '-verify_return_error',
        '-brief',
      ],
      { input: '', encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'], timeout: 10_000 },
    );
    expect(answer).toBeDefined();
  });

  it('sessions spread over three media-senders, and continue when one is killed', async () => {
    compose.run('up', '-d', '--no-recreate', '--scale', 'media-sender=3');
    await waitFor(
      'three media-senders',
      async () => compose.containersOf('media-sender').filter(isWell).length,
      (count) => count === 3,
    );
    // One after the other, like viewers; a media-sender that was slow to report capacity gets one of the next.
    const watched: Awaited<ReturnType<typeof watch>>[] = [];
    const hosts = new Set<string>();
    while (watched.length < 6 || (hosts.size < 3 && watched.length < 12)) {
      const next = await watch();
      await next.viewer.playing(40_000);
      watched.push(next);
      hosts.add(await hostOf(next.id));
    }
    expect(hosts.size).toBe(3);
    compose.docker('kill', compose.containersOf('media-sender')[0]?.Id ?? '');
    await Promise.all(watched.map(({ viewer }) => advances(viewer, 30_000)));
    for (const { viewer } of watched) await viewer.page.close();
  });

  it('every secret can be rotated while a viewer plays', async () => {
    const { viewer } = await watch();
    await viewer.playing();
    for (const what of ['token', 'turn', 'say', 'redis']) compose.run('run', '--rm', 'secrets', 'rotate', what);
    for (const redis of ['redis-queue', 'redis-media']) {
      expect(
        compose
          .run(
            'exec',
            '-T',
            redis,
            'redis-cli',
            '--no-auth-warning',
            '--user',
            'maintenance',
            '--pass',
            'none',
            'acl',
            'load',
          )
          .trim(),
      ).toBe('OK');
    }
    compose.run('restart', '--timeout', '10', 'signaling', 'segment-loader', 'demo-producer');
    for (const { Id } of compose.containersOf('media-sender').filter(isWell)) {
      compose.docker('restart', '--time', '15', Id);
      await advances(viewer, 30_000);
    }
    await untilPlayable();
    await advances(viewer);
    const { viewer: second } = await watch();
    await second.playing();
    for (const { page } of [viewer, second]) await page.close();
  });

  it('a viewer keeps playing across restarts of every other container', async () => {
    const { viewer } = await watch();
    await viewer.playing();
    const others = compose
      .containers()
      .filter((container) => !['media-sender', 'secrets'].includes(serviceOf(container)));
    for (const container of others) {
      const since = performance.now();
      compose.docker('restart', '--time', '5', container.Id);
      await advances(viewer, 40_000, `after a restart of ${serviceOf(container)}`);
      console.log(`restart of ${serviceOf(container)} to playing: ${seconds(since)}`);
    }
    // With this, Redis reports what it drops of its append-only file.
    expect(compose.logs('redis-queue')).not.toContain('AOF-loading-client');
    await viewer.page.close();
  });

  it('state survives `down` and `up`', async () => {
    const secrets = readSecrets();
    compose.run('down', '--timeout', '5');
    const since = performance.now();
    compose.run('up', '-d');
    await untilPlayable();
    const { viewer } = await watch();
    await viewer.playing();
    console.log(`up again to playing: ${seconds(since)}`);
    await viewer.page.close();
    expect(readSecrets()).toEqual(secrets);
  });

  /** @returns the log of a service so far. */
  function logLines(service: string): { msg: string; [field: string]: unknown }[] {
    return compose
      .logs(service)
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
  }

  /** Runs as root on this machine: whoever can start a container can read everything. */
  function readFileSecret(name: string): string {
    return compose.run('run', '--rm', '--entrypoint', 'cat', 'secrets', `/run/humancast/${name}`).trim();
  }

  function readSecrets(): { name: string; value: string }[] {
    const list = compose.run(
      'run',
      '--rm',
      '--entrypoint',
      'sh',
      'secrets',
      '-c',
      'cd /run/humancast && grep -H . *-secret* *-key grafana-admin *.password',
    );
    return list
      .trim()
      .split('\n')
      .map((line) => {
        const [name = '', value = ''] = line.split(':');
        return { name, value: value.trim() };
      });
  }
});

/** Healthy containers, the completed one-shot container, and running containers without a health check. */
function isWell(container: Container): boolean {
  const { State } = container;
  if (serviceOf(container) === 'secrets') return State.Status === 'exited' && State.ExitCode === 0;
  return State.Status === 'running' && (State.Health === undefined || State.Health.Status === 'healthy');
}

/** @returns the transport between the browser and its relay. */
function relayProtocol(viewer: ViewerPage): Promise<string | undefined> {
  return viewer.page.evaluate(async () => {
    for (const peer of (window as unknown as { peers: RTCPeerConnection[] }).peers) {
      const reports = [...(await peer.getStats()).values()];
      const transport = reports.find(({ type }) => type === 'transport');
      const pair = reports.find(({ id }) => id === transport?.selectedCandidatePairId);
      const local = reports.find(({ id }) => id === pair?.localCandidateId);
      if (local) return local.relayProtocol as string;
    }
    return undefined;
  });
}

/**
 * Sends each request over a new connection. Docker's commands block this process so long that it would reuse an idle
 * connection that the server has closed.
 */
function request(url: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
  return fetch(url, { ...init, headers: { ...init.headers, connection: 'close' } });
}

function timed(what: string, run: () => void): void {
  const since = performance.now();
  run();
  console.log(`${what}: ${seconds(since)}`);
}

const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`;
