import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectRedis, createLogger, mastersOf, type Redis, serviceSettings } from '@humancast/shared';
import { freePort, waitFor } from '@humancast/testkit';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { parse, parseAllDocuments } from 'yaml';
import { demoProducerSettings } from '../../examples/demo-producer/src/settings.js';
import { containersOf, find, type Manifest, render } from './testing/render.js';
import { faultsOf } from './testing/schema.js';

/** Variables of docker-compose.yml for a manual API key, a machine's own browser, and a limit that a pod cannot ask for. */
const COMPOSE_ONLY = ['HUMANCAST_API_KEY', 'TURN_LOCAL_URLS', 'REALTIME_PRIORITY'];

const HERE = new URL('.', import.meta.url).pathname;
const ROOT = join(HERE, '../..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const overlays = readdirSync(join(HERE, 'overlays'));
const rendered = new Map(overlays.map((name) => [name, render(join(HERE, 'overlays', name))]));
const all = (kind?: string) => [...rendered.values()].flat().filter((object) => !kind || object.kind === kind);
const workloads = () => all().filter((object) => containersOf(object).length > 0);
const label = ({ kind, metadata: { name } }: Manifest) => `${kind} ${name}`;
const OURS = ['signaling', 'segment-loader', 'media-sender', 'demo-producer'] as const;
const settings: Readonly<Record<string, object>> = { ...serviceSettings, 'demo-producer': demoProducerSettings };

/** @returns a setting's default by its variable. */
function settingOf(service: string, variable: string): { variable: string; fallback?: string } | undefined {
  return Object.values(settings[service] ?? {}).find((one) => (one as { variable: string }).variable === variable);
}

interface Env {
  name: string;
  value?: string;
  valueFrom?: { configMapKeyRef?: { name: string; key: string } };
}
/** Time for which a terminating pod still gets requests. */
function preStopMs(workload: Manifest): number {
  const { lifecycle } = containersOf(workload)[0];
  if (lifecycle === undefined) return 0;
  const [program, seconds] = lifecycle.preStop.exec.command;
  expect(program).toBe('sleep');
  return Number(seconds) * 1000;
}
const envOf = (workload: Manifest) => (containersOf(workload)[0].env ?? []) as Env[];
function volumesOf({ spec }: Manifest): string[] {
  const claims = (spec.volumeClaimTemplates ?? []) as Manifest[];
  const volumes = spec.template.spec.volumes as { name: string }[];
  return [...volumes.map(({ name }) => name), ...claims.map(({ metadata }) => metadata.name)];
}

const kubectl = (() => {
  try {
    return execFileSync('kubectl', ['version', '--client'], { encoding: 'utf8', stdio: 'pipe' });
  } catch {
    return undefined;
  }
})();

describe.each(overlays)('overlays/%s', (name) => {
  const objects = rendered.get(name) ?? [];

  it('has only valid objects, each once', async () => {
    const faults = await Promise.all(
      objects.map(async (object) => (await faultsOf(object)).map((fault) => `${label(object)}: ${fault}`)),
    );
    expect(faults.flat()).toEqual([]);
    expect(new Set(objects.map(label)).size).toBe(objects.length);
    expect(objects.length).toBeGreaterThan(25);
  });

  // Only if kubectl is installed: neither npm nor Debian 12 has it (Debian's version lacks components).
  if (kubectl) {
    it('matches the output of kubectl', () => {
      const text = execFileSync('kubectl', ['kustomize', join(HERE, 'overlays', name)], { encoding: 'utf8' });
      const generated = objects.filter(({ kind }) => kind === 'ConfigMap').map(({ metadata }) => metadata.name);
      const hashless = text.replaceAll(new RegExp(`\\b(${generated.join('|')})-[a-z0-9]{10}\\b`, 'g'), '$1');
      const theirs = parseAllDocuments(hashless, { version: '1.1' }).map((document) => document.toJS() as Manifest);
      const byLabel = (list: readonly Manifest[]) => Object.fromEntries(list.map((object) => [label(object), object]));
      expect(byLabel(theirs)).toEqual(byLabel(objects));
    });
  }
});

describe('redis-queue', () => {
  const megabytes = (text: string | undefined) => Number(/^(\d+)(mb?|Mi)$/.exec(text ?? '')?.[1]);
  const maxmemory = megabytes(/^maxmemory (\S+)$/m.exec(read('infra/redis/queue.conf'))?.[1]);

  it("has a maxmemory, and twice that as the container's limit", () => {
    expect(maxmemory).toBeGreaterThan(0);
    const compose = parse(read('docker-compose.yml'), { merge: true }) as {
      services: Record<string, { mem_limit: string }>;
    };
    expect(megabytes(compose.services['redis-queue']?.mem_limit)).toBeGreaterThanOrEqual(2 * maxmemory);
    for (const workload of workloads().filter(({ metadata }) => metadata.name === 'redis-queue')) {
      const limits = containersOf(workload)[0].resources as { limits: { memory: string } };
      expect(megabytes(limits.limits.memory)).toBeGreaterThanOrEqual(2 * maxmemory);
    }
  });
});

describe('schema check', () => {
  it('finds invalid, missing and unknown fields', async () => {
    const service = find(all(), 'Service', 'signaling');
    const port = { name: 'http', port: 'eighty' };
    expect(await faultsOf({ ...service, spec: { ports: [port] } })).toHaveLength(1);
    const typo = { ...service, spec: { ...service['spec'], selectors: {} } };
    expect(await faultsOf(typo)).toEqual(['/spec/selectors is no field of it']);
  });
});

describe('pods', () => {
  it('run without root, capabilities, a writable file system or a service account token', () => {
    expect(workloads().length).toBeGreaterThan(15);
    for (const workload of workloads()) {
      const { spec } = workload['spec'].template;
      expect(spec, label(workload)).toMatchObject({
        automountServiceAccountToken: false,
        enableServiceLinks: false,
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      });
      expect(spec.securityContext.runAsUser).toBeGreaterThan(0);
      expect(spec.hostNetwork).toBeUndefined();
      for (const container of containersOf(workload)) {
        expect(container.securityContext, label(workload)).toMatchObject({
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ['ALL'] },
        });
        expect(container.resources).toMatchObject({
          requests: { cpu: expect.anything(), memory: expect.anything() },
          limits: { memory: expect.anything() },
        });
        expect(container.readinessProbe ?? container, label(workload)).toHaveProperty('periodSeconds');
        expect(container.livenessProbe ?? container, label(workload)).toHaveProperty('periodSeconds');
      }
    }
  });

  it.each(overlays)('mount existing volumes, and refer to existing settings (%s)', (name) => {
    const objects = rendered.get(name) ?? [];
    const known = find(objects, 'ConfigMap', 'settings')['data'] as Record<string, string>;
    for (const workload of objects.filter((object) => containersOf(object).length > 0)) {
      const volumes = volumesOf(workload);
      expect(new Set(volumes).size, label(workload)).toBe(volumes.length);
      for (const { name } of containersOf(workload)[0].volumeMounts) expect(volumes).toContain(name);
      for (const { configMap } of workload['spec'].template.spec.volumes) {
        if (configMap) find(objects, 'ConfigMap', configMap.name);
      }
      const keys = envOf(workload).flatMap(({ valueFrom }) => valueFrom?.configMapKeyRef?.key ?? []);
      expect(Object.keys(known)).toEqual(expect.arrayContaining(keys));
    }
  });

  it('have the labels that their budgets, services and policies select', () => {
    for (const objects of rendered.values()) {
      const pods = objects
        .filter((object) => containersOf(object).length > 0)
        .map((one) => one['spec'].template.metadata.labels);
      const finds = (selector: Record<string, string>) =>
        pods.some((labels) =>
          Object.entries(selector).every(([key, value]) => key.startsWith('statefulset.') || labels[key] === value),
        );
      for (const { kind, metadata, spec } of objects) {
        const selector = kind === 'Service' ? spec.selector : (spec?.selector ?? spec?.podSelector)?.matchLabels;
        if (selector) expect(finds(selector), `${kind} ${metadata.name}`).toBe(true);
      }
    }
  });
});

describe.each(OURS)('%s', (service) => {
  const workload = find(all(), 'Deployment', service);
  const [container] = containersOf(workload);
  const environment = envOf(workload);
  const compose = parse(read('docker-compose.yml'), { merge: true }).services[service];

  it('has the image, files and variables of docker-compose.yml', () => {
    expect(container.image).toBe(compose.image);
    const names = (list: readonly string[]) => list.filter((name) => name !== 'SHUTDOWN_TIMEOUT_MS').sort();
    const theirs = Object.keys(compose.environment).filter((name) => !COMPOSE_ONLY.includes(name));
    expect(names(environment.map(({ name }) => name))).toEqual(names(theirs));
    for (const { name, value } of environment) {
      if (name.endsWith('_FILE')) expect(value).toBe(compose.environment[name]);
    }
  });

  it('gets only existing settings', () => {
    for (const { name } of environment) {
      const variable = settingOf(service, name) ? name : name.replace(/_FILE$/, '');
      expect(settingOf(service, variable), name).toBeDefined();
    }
  });

  it('exposes the ports that it listens on, and is probed there', () => {
    const ports = Object.fromEntries(
      container.ports.map(({ name, containerPort }: { name: string; containerPort: number }) => [name, containerPort]),
    );
    const of = (setting: string) => (settings[service] as Record<string, { fallback: string } | undefined>)[setting];
    const expected = { metrics: of('metricsPort')?.fallback, ...(of('port') && { http: of('port')?.fallback }) };
    expect(Object.fromEntries(Object.entries(ports).map(([name, port]) => [name, String(port)]))).toEqual(
      Object.fromEntries(Object.entries(expected).map(([name, port]) => [name, String(port)])),
    );
    expect(container.livenessProbe.httpGet).toEqual({ path: '/healthz', port: 'metrics' });
    expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'metrics' });
  });

  it('has a termination grace period longer than its shutdown timeout', () => {
    const own = environment.find(({ name }) => name === 'SHUTDOWN_TIMEOUT_MS')?.value;
    const limitMs = Number(own ?? settingOf(service, 'SHUTDOWN_TIMEOUT_MS')?.fallback);
    expect(limitMs).toBeGreaterThan(0);
    const { terminationGracePeriodSeconds } = workload['spec'].template.spec;
    expect(terminationGracePeriodSeconds * 1000).toBeGreaterThan(preStopMs(workload) + limitMs);
  });
});

describe('rolling update of signaling', () => {
  const workload = find(all(), 'Deployment', 'signaling');

  it('starts the new pod first, and the old one serves until it gets no more requests', () => {
    expect(workload['spec'].strategy.rollingUpdate).toEqual({ maxSurge: 1, maxUnavailable: 0 });
    const { periodSeconds } = containersOf(workload)[0].readinessProbe;
    expect(preStopMs(workload)).toBeGreaterThanOrEqual(5000);
    expect(preStopMs(workload)).toBeGreaterThan(2000 * periodSeconds);
  });
});

describe('databases and relays', () => {
  it('use the images of docker-compose.yml', () => {
    const { services } = parse(read('docker-compose.yml'), { merge: true });
    for (const name of ['redis-queue', 'redis-media', 'coturn']) {
      expect(containersOf(find(all(), 'StatefulSet', name))[0].image).toBe(services[name].image);
    }
  });

  it('only the relays are reachable from outside', () => {
    const open = all('Service').filter(({ spec }) => spec.type !== undefined);
    expect(new Set(open.map(({ metadata }) => metadata.name))).toEqual(new Set(['coturn-0', 'coturn-1']));
    const anywhere = all('NetworkPolicy').filter(({ spec }) =>
      (spec.ingress ?? []).some(({ from }: { from?: unknown[] }) => from === undefined),
    );
    expect(new Set(anywhere.map(({ metadata }) => metadata.name))).toEqual(new Set(['signaling', 'coturn']));
  });

  it('every relay in TURN_URLS exists', () => {
    for (const objects of rendered.values()) {
      const urls = String(find(objects, 'ConfigMap', 'settings')['data'].TURN_URLS).split(',');
      const hosts = new Set(urls.map((url) => /^turns?:([^:]+):/.exec(url)?.[1]));
      const relays = objects.filter(({ kind, spec }) => kind === 'Service' && spec.type === 'LoadBalancer');
      expect(find(objects, 'StatefulSet', 'coturn')['spec'].replicas).toBe(hosts.size);
      expect(relays).toHaveLength(hosts.size);
    }
  });
});

describe('autoscalers', () => {
  const documented = new Set([...read('docs/metrics.md').matchAll(/^\| `(humancast_\w+)`/gm)].map((match) => match[1]));
  const named = (text: string) => [...text.matchAll(/humancast_\w+/g)].map(([name]) => name);

  it('use existing metrics', () => {
    const adapter = read('infra/kubernetes/components/hpa/prometheus-adapter.yaml');
    const [keda] = all('ScaledObject');
    const [hpa] = all('HorizontalPodAutoscaler');
    const query: string = keda?.['spec'].triggers[0].metadata.query;
    const metrics: { pods: { metric: { name: string } } }[] = hpa?.['spec'].metrics;
    expect(named(query).length).toBe(2);
    expect(named(adapter)).toEqual(metrics.map(({ pods }) => pods.metric.name));
    for (const name of [...named(query), ...named(adapter)]) expect(documented, name).toContain(name);
  });

  it('keep spare capacity on each media-sender, and alone set the number of replicas', () => {
    const { MAX_SESSIONS, MAX_VIEWERS } = find(all(), 'ConfigMap', 'settings')['data'];
    const [keda] = all('ScaledObject');
    const [hpa] = all('HorizontalPodAutoscaler');
    for (const [i, capacity] of [MAX_SESSIONS, MAX_VIEWERS].entries()) {
      const targets = [
        keda?.['spec'].triggers[i].metadata.threshold,
        hpa?.['spec'].metrics[i].pods.target.averageValue,
      ];
      for (const target of targets) expect(Number(target) / Number(capacity)).toBeCloseTo(0.7);
    }
    for (const objects of rendered.values()) {
      const scaled = objects.some(({ kind }) => kind === 'ScaledObject' || kind === 'HorizontalPodAutoscaler');
      expect('replicas' in find(objects, 'Deployment', 'media-sender')['spec']).toBe(!scaled);
    }
  });
});

describe('programs in the pods', () => {
  const folders: string[] = [];
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });
  const makeFolder = () => {
    const folder = mkdtempSync(join(tmpdir(), 'humancast-kubernetes-'));
    folders.push(folder);
    return folder;
  };

  /** @returns coturn's configuration as its start script writes it. */
  function turnConfiguration(podIp: string, range: string, certificate = false): string {
    const root = makeFolder();
    for (const folder of ['etc/humancast', 'run/humancast', 'run/tls', 'tmp', 'bin']) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    writeFileSync(join(root, 'etc/humancast/turnserver.conf'), read('infra/turn/turnserver.conf'));
    writeFileSync(join(root, 'run/humancast/turn-secret'), 'current');
    writeFileSync(join(root, 'run/humancast/turn-secret-next'), 'next');
    if (certificate) writeFileSync(join(root, 'run/tls/tls.crt'), 'certificate');
    writeFileSync(join(root, 'bin/turnserver'), '#!/bin/sh\ncat "$2"\n');
    chmodSync(join(root, 'bin/turnserver'), 0o755);
    const env = { PATH: `${join(root, 'bin')}:${process.env['PATH']}`, ROOT: root, POD_IP: podIp, MEDIA_RANGE: range };
    return execFileSync(join(HERE, 'base/start-coturn'), { encoding: 'utf8', env });
  }
  const peers = (text: string) => [...text.matchAll(/^allowed-peer-ip=(.*)$/gm)].map((match) => match[1]);

  it('a relay may reach the pods, but not itself', () => {
    expect(peers(turnConfiguration('10.244.3.255', '10.244.0.0-10.244.255.255'))).toEqual([
      '10.244.0.0-10.244.3.254',
      '10.244.4.0-10.244.255.255',
    ]);
    expect(peers(turnConfiguration('10.244.0.0', '10.244.0.0-10.244.0.9'))).toEqual(['10.244.0.1-10.244.0.9']);
    expect(peers(turnConfiguration('10.244.0.9', '10.244.0.0-10.244.0.9'))).toEqual(['10.244.0.0-10.244.0.8']);
    expect(peers(turnConfiguration('192.168.0.4', '10.244.0.0-10.244.0.9'))).toEqual(['10.244.0.0-10.244.0.9']);
  });

  it('a relay has both secrets, and TLS if there is a certificate', () => {
    const plain = turnConfiguration('10.244.1.2', '10.244.0.0-10.244.255.255');
    expect(plain).toContain('denied-peer-ip=0.0.0.0-255.255.255.255\n');
    expect(plain).toContain('\nrelay-ip=10.244.1.2\n');
    expect(plain).toContain('static-auth-secret=current\nstatic-auth-secret=next\nno-tls\n');
    const secure = turnConfiguration('10.244.1.2', '10.244.0.0-10.244.255.255', true);
    expect(secure).toContain('tls-listening-port=5349');
    expect(secure).not.toContain('no-tls\n');
  });

  it('the nodes form one Redis Cluster that the services can use, also after their addresses have changed', async () => {
    const work = makeFolder();
    const secrets = join(work, 'secrets');
    const env = { ...process.env, CLUSTER: 'redis-media' };
    execFileSync(join(HERE, 'secrets'), [secrets], { env, stdio: 'pipe' });
    const port = await portForBus();
    const open = (service: string, address: string) => {
      const user = readFileSync(join(secrets, `redis-media.${service}.url`), 'utf8').split('@')[0];
      return connectRedis(`${user}@${address}:${port}`, { name: 'test', logger: createLogger('test', 'silent') });
    };
    // Writes on all three nodes as the loader; reads as the media-sender, which may not write.
    const names = Array.from({ length: 30 }, (_, i) => `hc:{m:${i}}:manifest`);
    const writtenAndRead = async (writer: Redis, reader: Redis) => {
      try {
        await Promise.all(names.map((name) => writer.set(name, name)));
        return await Promise.all(names.map((name) => reader.get(name)));
      } catch (error) {
        return String(error);
      }
    };
    let nodes = await startNodes(work, port, 10);
    try {
      const loader = open('segment-loader', '127.0.0.10');
      const sender = open('media-sender', '127.0.0.11');
      await expect.poll(() => writtenAndRead(loader, sender), { timeout: 30_000 }).toEqual(names);
      expect(mastersOf(sender)).toHaveLength(3);
      for (const redis of [loader, sender]) redis.disconnect();
      await Promise.all(nodes.map((node) => endProcess(node)));
      // All nodes restart at once with new addresses.
      nodes = await startNodes(work, port, 20);
      const loaderAgain = open('segment-loader', '127.0.0.22');
      const again = open('media-sender', '127.0.0.21');
      await expect.poll(() => writtenAndRead(loaderAgain, again), { timeout: 60_000 }).toEqual(names);
      // Redirections lead to the data before the client has refreshed its list of the nodes.
      await waitFor(
        'all masters to be known by their new addresses',
        async () => {
          await writtenAndRead(loaderAgain, again);
          return mastersOf(again).map(({ options }) => options.host);
        },
        (addresses) => addresses.sort().join() === '127.0.0.20,127.0.0.21,127.0.0.22',
      );
      for (const redis of [loaderAgain, again]) redis.disconnect();
    } finally {
      await Promise.all(nodes.map((node) => endProcess(node)));
    }
  }, 120_000);

  it('a node passes the probes that run inside its pod', async () => {
    const work = makeFolder();
    execFileSync(join(HERE, 'secrets'), [join(work, 'secrets')], { stdio: 'pipe' });
    const port = await portForBus();
    const manifest = parseAllDocuments(read('infra/kubernetes/base/redis-media.yaml'))[0]?.toJS() as Manifest;
    const { startupProbe, livenessProbe, readinessProbe } = containersOf(manifest)[0];
    const node = startNode(work, port, '127.0.0.30', ['127.0.0.30'], { BIND: undefined });
    try {
      for (const { exec } of [startupProbe, livenessProbe, readinessProbe]) {
        const [program, ...args] = exec.command as string[];
        const run = () =>
          execFileSync(program ?? '', ['-p', String(port), ...args], { encoding: 'utf8', stdio: 'pipe' });
        await vi.waitFor(() => expect(run()).toBe('PONG\n'), { timeout: 10_000 });
      }
    } finally {
      await endProcess(node);
    }
  });

  /** Three nodes with an address each, from 127.0.0.`first`, and a folder that persists. */
  async function startNodes(work: string, port: number, first: number): Promise<ChildProcess[]> {
    const addresses = [0, 1, 2].map((i) => `127.0.0.${first + i}`);
    return addresses.map((address) => startNode(work, port, address, addresses, { BIND: address }));
  }

  function startNode(
    work: string,
    port: number,
    address: string,
    peers: string[],
    env: NodeJS.ProcessEnv,
  ): ChildProcess {
    const ordinal = String(peers.indexOf(address));
    const folder = join(work, `node-${ordinal}`);
    mkdirSync(folder, { recursive: true });
    return spawn(
      join(HERE, 'components/redis-media-cluster/start-node'),
      [join(ROOT, 'infra/redis/media.conf'), join(work, 'secrets/redis-media.acl'), '--maxmemory', '64mb'],
      {
        cwd: folder,
        stdio: 'ignore',
        // A process group, because a child of the script keeps watching the cluster.
        detached: true,
        env: {
          PATH: process.env['PATH'],
          POD_IP: address,
          PEERS: peers.join(' '),
          ORDINAL: ordinal,
          PORT: String(port),
          WORK: folder,
          ...env,
        },
      },
    );
  }

  async function endProcess(child: ChildProcess): Promise<void> {
    if (child.pid === undefined) return;
    const ended = child.exitCode === null && child.signalCode === null && once(child, 'exit');
    process.kill(-child.pid, 'SIGKILL');
    await ended;
  }

  /** Redis uses its port plus 10000 between nodes. */
  async function portForBus(): Promise<number> {
    for (;;) {
      const port = await freePort();
      if (port <= 55_000) return port;
    }
  }

  it('the secrets script creates every secret in the manifests, and each workload gets only its own', () => {
    const text = execFileSync(join(HERE, 'secrets'), [makeFolder()], { encoding: 'utf8', stdio: 'pipe' });
    const secrets = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
    for (const workload of workloads()) {
      const mount = workload['spec'].template.spec.volumes.find(({ name }: { name: string }) => name === 'secrets');
      const files = Object.keys(find(secrets, 'Secret', mount.secret.secretName)['data']);
      const used = JSON.stringify(containersOf(workload)).match(/\/run\/humancast\/[\w.-]+/g) ?? [];
      const needed =
        workload.metadata.name === 'coturn' ? ['turn-secret', 'turn-secret-next'] : used.map((path) => path.slice(15));
      expect(files.sort(), label(workload)).toEqual([...new Set(needed)].sort());
    }
    expect(execFileSync(join(HERE, 'secrets'), [makeFolder()], { encoding: 'utf8', stdio: 'pipe' })).not.toBe(text);
  });
});
