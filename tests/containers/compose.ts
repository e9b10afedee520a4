import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '@humancast/testkit';
import { z } from 'zod';
import type { Engine } from './engine.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Builds base images from Debian's packages: an empty engine has none, and there may be no registry. */
const STAND_INS = join(ROOT, 'tests/containers/base-images.sh');
const PORTS = [
  'SIGNALING_PORT',
  'LOADER_PORT',
  'TURN_PORT',
  'TURN_TLS_PORT',
  'PROMETHEUS_PORT',
  'GRAFANA_PORT',
] as const;
/** Private addresses (RFC 1918) that Docker's defaults leave free. */
export const MEDIA_NET = '10.213.47';
/** Building from scratch takes three minutes on two idle cores, ten on a busy machine. */
const COMMAND_TIMEOUT_MS = 1_200_000;

/** The fields of `docker inspect` in use. */
const containerSchema = z.object({
  Id: z.string(),
  Name: z.string(),
  State: z.object({ Status: z.string(), ExitCode: z.int(), Health: z.object({ Status: z.string() }).optional() }),
  Config: z.object({ Labels: z.record(z.string(), z.string()) }),
  HostConfig: z.object({
    ReadonlyRootfs: z.boolean(),
    CapDrop: z.array(z.string()).nullable(),
    CapAdd: z.array(z.string()).nullable(),
    SecurityOpt: z.array(z.string()).nullable(),
    Memory: z.int(),
    PidsLimit: z.int().nullable(),
    LogConfig: z.object({ Config: z.record(z.string(), z.string()) }),
    PortBindings: z.record(z.string(), z.array(z.object({ HostIp: z.string() })).nullable()).nullable(),
  }),
  NetworkSettings: z.object({
    Networks: z.record(z.string(), z.object({ IPAddress: z.string(), Gateway: z.string() })),
  }),
});
export type Container = z.infer<typeof containerSchema>;

export const serviceOf = ({ Config }: Container) => Config.Labels['com.docker.compose.service'] ?? '';

/** Runs `docker compose` on this repository as a separate project, on free ports. */
export class Compose {
  readonly mediaDir: string;
  readonly ports: Readonly<Record<(typeof PORTS)[number], number>>;
  readonly #dir = mkdtempSync(join(tmpdir(), 'humancast-compose-'));
  readonly #env: NodeJS.ProcessEnv;
  readonly #own: boolean;
  readonly #command: readonly string[];

  private constructor(engine: Engine, ports: readonly number[]) {
    this.ports = Object.fromEntries(PORTS.map((name, i) => [name, ports[i]])) as Compose['ports'];
    this.mediaDir = join(this.#dir, 'media');
    mkdirSync(this.mediaDir);
    this.#own = engine.own;
    this.#env = {
      ...engine.env,
      COMPOSE_PROJECT_NAME: `humancast-test-${process.pid}`,
      // The builder that every engine has.
      ...(engine.own && { DOCKER_BUILDKIT: '0', COMPOSE_DOCKER_CLI_BUILD: '0' }),
      // Debian has no Grafana, so another program takes its place. tests/observability checks the dashboards.
      ...(engine.own && { GRAFANA_IMAGE: 'redis:8-bookworm' }),
      MEDIA_DIR: this.mediaDir,
      MEDIA_NET,
      // Low capacity, so that one more session makes a media-sender clearly fuller than another.
      MAX_SESSIONS: '10',
      ...Object.fromEntries(PORTS.map((name, i) => [name, String(ports[i])])),
    };
    this.#command =
      spawnSync('docker', ['compose', 'version'], { env: this.#env }).status === 0
        ? ['docker', 'compose']
        : ['docker-compose'];
  }

  static async create(engine: Engine): Promise<Compose> {
    return new Compose(engine, await Promise.all(PORTS.map(() => freePort())));
  }

  get dir(): string {
    return this.#dir;
  }

  /** Enables TURN over TLS with this certificate from the next `up` on. */
  useCertificate(certificate: string, key: string): void {
    const file = (name: string) => join(ROOT, name);
    Object.assign(this.#env, {
      COMPOSE_FILE: [file('docker-compose.yml'), file('docker-compose.tls.yml')].join(':'),
      TURN_CERTIFICATE: certificate,
      TURN_CERTIFICATE_KEY: key,
    });
  }

  /** Build arguments for machines without access to a registry. */
  makeBases(): void {
    if (this.#own) this.#run('bash', [STAND_INS]);
  }

  /** @returns its standard output. */
  run(...args: string[]): string {
    const [program = '', ...first] = this.#command;
    return this.#run(program, [...first, ...args]);
  }

  docker(...args: string[]): string {
    return this.#run('docker', args);
  }

  /** Lists all containers of the project, including ended ones. */
  containers(): Container[] {
    const ids = this.run('ps', '-a', '-q')
      .split('\n')
      .filter((id) => id !== '');
    return ids.length === 0 ? [] : z.array(containerSchema).parse(JSON.parse(this.docker('inspect', ...ids)));
  }

  containersOf(service: string): Container[] {
    return this.containers().filter((container) => serviceOf(container) === service);
  }

  /** @returns the logs of all containers, or of one service. */
  logs(service?: string): string {
    return this.containers()
      .filter((container) => service === undefined || serviceOf(container) === service)
      .map(({ Id }) => {
        const { stdout, stderr } = spawnSync('docker', ['logs', Id], { env: this.#env, encoding: 'utf8' });
        return stdout + stderr;
      })
      .join('\n');
  }

  /** Creates an API key with all scopes, as a user does. */
  newKey(name: string): string {
    return this.run('run', '--rm', 'secrets', 'api-key', 'new', name, '--scopes', '*').trim();
  }

  url(port: 'SIGNALING_PORT' | 'LOADER_PORT', path = ''): string {
    return `http://127.0.0.1:${this.ports[port]}${path}`;
  }

  /** Removes the project with its volumes. */
  remove(): void {
    this.run('down', '--volumes', '--remove-orphans', '--timeout', '3');
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #run(program: string, args: readonly string[]): string {
    const options = { cwd: ROOT, env: this.#env, encoding: 'utf8', stdio: 'pipe', maxBuffer: 1 << 28 } as const;
    try {
      return execFileSync(program, args, { ...options, timeout: COMMAND_TIMEOUT_MS });
    } catch (error) {
      const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
      const lastWords = `${stdout}\n${stderr}`.trim().split('\n').slice(-25).join('\n');
      throw new Error(`${program} ${args.join(' ')} failed:\n${lastWords}`);
    }
  }
}

/** Creates a self-signed certificate for this machine. */
export function makeCertificate(folder: string): { certificate: string; key: string } {
  const [certificate, key] = [join(folder, 'turn.pem'), join(folder, 'turn.key')];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', ...subject];
  execFileSync('openssl', [...args, '-keyout', key, '-out', certificate], { stdio: 'pipe' });
  return { certificate, key };
}
