import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './ports.js';
import type { StackProcess } from './stack.js';
import { spawnTied } from './tied.js';
import { waitFor } from './wait.js';

const RULES = new URL('../../../infra/prometheus/rules', import.meta.url).pathname;

export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Alert {
  readonly name: string;
  readonly state: 'pending' | 'firing';
  readonly labels: Readonly<Record<string, string>>;
}

/** A process that serves `/metrics`; its name is the job's. */
export type ScrapeTarget = Pick<StackProcess, 'name' | 'metricsUrl'>;

/** A real Prometheus that scrapes a stack's processes every second, with the shipped rules. */
export class TestPrometheus {
  readonly #url: string;
  readonly #child: ChildProcess;
  readonly #dir: string;

  static async start(processes: readonly ScrapeTarget[]): Promise<TestPrometheus> {
    const dir = mkdtempSync(join(tmpdir(), 'humancast-prometheus-'));
    const config = join(dir, 'prometheus.json');
    // JSON is valid YAML.
    writeFileSync(config, JSON.stringify(configOf(processes)));
    const port = await freePort();
    const child = spawnTied(
      'prometheus',
      [
        `--config.file=${config}`,
        `--storage.tsdb.path=${join(dir, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=error',
      ],
      { stdio: 'ignore' },
    );
    const prometheus = new TestPrometheus(`http://127.0.0.1:${port}`, child, dir);
    await waitFor(
      'Prometheus to be ready',
      () => fetch(`${prometheus.#url}/-/ready`),
      ({ status }) => status === 200,
    );
    // A counter's increase is visible only from the first scrape on; targets are found every five seconds.
    await waitFor(
      'every process to be scraped',
      () => prometheus.query('up == 1'),
      (answers) => answers.length === processes.length,
    );
    return prometheus;
  }

  private constructor(url: string, child: ChildProcess, dir: string) {
    this.#url = url;
    this.#child = child;
    this.#dir = dir;
  }

  /** @throws Error if it does not parse. */
  async query(expr: string): Promise<Sample[]> {
    const data = await this.#get<{ result: { metric: Record<string, string>; value: [number, string] }[] }>(
      `query?${new URLSearchParams({ query: expr })}`,
    );
    return data.result.map(({ metric, value }) => ({
      labels: metric,
      value: Number(value[1].replace('Inf', 'Infinity')),
    }));
  }

  /** @returns pending and firing alerts. */
  async alerts(): Promise<Alert[]> {
    const { alerts } = await this.#get<{ alerts: { labels: Record<string, string>; state: Alert['state'] }[] }>(
      'alerts',
    );
    return alerts.map(({ labels, state }) => ({ name: labels['alertname'] ?? '', state, labels }));
  }

  /** @returns the rules that could not be evaluated, with the error. */
  async brokenRules(): Promise<string[]> {
    const { groups } = await this.#get<{ groups: { rules: { name: string; health: string; lastError?: string }[] }[] }>(
      'rules',
    );
    const rules = groups.flatMap((group) => group.rules);
    if (rules.length === 0) throw new Error('no rules are loaded');
    return rules
      .filter(({ health }) => health !== 'ok')
      .map(({ name, health, lastError }) => `${name}: ${lastError ?? health}`);
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.exitCode === null && this.#child.kill('SIGKILL')) await gone;
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async #get<T>(path: string): Promise<T> {
    const response = await fetch(`${this.#url}/api/v1/${path}`);
    const { data, error } = (await response.json()) as { data: T; error?: string };
    if (!response.ok) throw new Error(`${path}: ${error}`);
    return data;
  }
}

function configOf(processes: readonly ScrapeTarget[]): object {
  const jobs = Object.groupBy(processes, ({ name }) => name);
  return {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [`${RULES}/*.yml`],
    scrape_configs: Object.entries(jobs).map(([job, members]) => ({
      job_name: job,
      static_configs: [{ targets: (members ?? []).map(({ metricsUrl }) => new URL(metricsUrl).host) }],
    })),
  };
}
