import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dashboards } from '../infra/grafana/src/index.ts';
import { panelQueries } from './support/dashboards.js';

const ROOT = new URL('..', import.meta.url).pathname;
const PROMETHEUS = join(ROOT, 'infra/prometheus');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const filesOf = (folder: string) => readdirSync(folder).map((name) => join(folder, name));
const promtool = (...args: string[]) => execFileSync('promtool', args, { encoding: 'utf8' });

const rules = read('infra/prometheus/rules/alerts.yml');
const alerts = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map((match) => match[1] ?? '');
const runbooks = [...rules.matchAll(/runbook_url: https:\/\/humancast\.dev\/(\S+)/g)].map((match) => match[1] ?? '');

describe('the rules', () => {
  it('are valid, and raise what they should', () => {
    expect(promtool('check', 'rules', ...filesOf(join(PROMETHEUS, 'rules')))).toContain('SUCCESS');
    expect(promtool('test', 'rules', ...filesOf(join(PROMETHEUS, 'tests')))).toContain('SUCCESS');
    expect(promtool('check', 'config', join(PROMETHEUS, 'prometheus.yml'))).toContain('SUCCESS');
  });

  it('are all tested', () => {
    const tests = filesOf(join(PROMETHEUS, 'tests'))
      .map((path) => readFileSync(path, 'utf8'))
      .join('\n');
    expect(alerts.length).toBeGreaterThan(8);
    expect(alerts.filter((alert) => !tests.includes(`alertname: ${alert}\n`))).toEqual([]);
  });

  it('have a runbook each, which is in the list of runbooks, and a dashboard', () => {
    expect(runbooks).toEqual(alerts.map((alert) => `docs/runbooks/${alert}.md`));
    expect(runbooks.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    const list = read('docs/runbooks/README.md');
    expect(alerts.filter((alert) => !list.includes(`[${alert}](${alert}.md)`))).toEqual([]);
    const uids = [...rules.matchAll(/dashboard: ([\w-]+)/g)].map((match) => match[1]);
    expect(uids).toHaveLength(alerts.length);
    const known = Object.values(dashboards).map(({ uid }) => uid);
    expect(uids.filter((uid) => !known.includes(uid))).toEqual([]);
  });

  it('know the quota of coturn', () => {
    const quota = Number(/^total-quota=(\d+)$/m.exec(read('infra/turn/turnserver.conf'))?.[1]);
    expect(rules).toContain(`turn_total_allocations) > ${0.8 * quota}`);
    expect(rules).toContain(`allocations of ${quota}`);
  });
});

describe('the dashboards', () => {
  it('are committed as the code makes them', () => {
    for (const [name, dashboard] of Object.entries(dashboards)) {
      expect(JSON.parse(read(`infra/grafana/dashboards/${name}.json`)), name).toEqual(
        JSON.parse(JSON.stringify(dashboard)),
      );
    }
  });

  it('explain every panel, lead to runbooks that exist, and lay no panel over another', () => {
    for (const { title, panels = [] } of Object.values(dashboards)) {
      const places = panels.map(({ gridPos }) => gridPos ?? { x: 0, y: 0, w: 0, h: 0 });
      const overlapping = places.filter((a, i) => places.slice(0, i).some((b) => overlap(a, b)));
      expect(overlapping, title).toEqual([]);
      for (const panel of panels) {
        if (!('targets' in panel)) continue;
        expect(panel.description, panel.title).toMatch(/\w{3}/);
        const runbooks = (panel.links ?? []).flatMap(({ url }) => /runbooks\/(\w+)\.md/.exec(url ?? '')?.[1] ?? []);
        expect(alerts).toEqual(expect.arrayContaining(runbooks));
      }
    }
  });

  it('explain every alert with a panel', () => {
    const linked = JSON.stringify(dashboards);
    const explained = alerts.filter((alert) => linked.includes(`Runbook: ${alert}`));
    // Whether a process answers at all is no curve.
    expect(alerts.filter((alert) => !explained.includes(alert))).toEqual(['ServiceDown']);
  });

  it('ask Prometheus for something in every panel', () => {
    expect(panelQueries().length).toBeGreaterThan(80);
    expect(panelQueries().filter(({ expr }) => expr.trim() === '')).toEqual([]);
  });
});

interface Place {
  x: number;
  y: number;
  w: number;
  h: number;
}

function overlap(a: Place, b: Place): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}
