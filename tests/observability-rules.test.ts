import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { dashboards } from '../infra/grafana/src/index.ts';
import { SKEW_BUCKETS_SECONDS } from '../services/media-sender/src/metrics.js';
import { panelQueries } from './support/dashboards.js';

const ROOT = new URL('..', import.meta.url).pathname;
const PROMETHEUS = join(ROOT, 'infra/prometheus');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const filesOf = (folder: string) => readdirSync(folder).map((name) => join(folder, name));
const promtool = (...args: string[]) => execFileSync('promtool', args, { encoding: 'utf8' });

/** Width of Grafana's grid. */
const COLUMNS = 24;
/** Panel types built into Grafana. */
const PANEL_TYPES = ['heatmap', 'row', 'stat', 'table', 'timeseries'];
/** Units of `grafana/data`, valueFormats/categories.ts. */
const UNITS = ['none', 'short', 'percentunit', 's', 'bytes', 'Bps', 'bps', 'ops', 'pps'];

const committed = Object.keys(dashboards).map(
  (name) => JSON.parse(read(`infra/grafana/dashboards/${name}.json`)) as CommittedDashboard,
);
const rules = read('infra/prometheus/rules/alerts.yml');
const alerts = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map((match) => match[1] ?? '');
const runbooks = [...rules.matchAll(/runbook_url: https:\/\/humancast\.dev\/(\S+)/g)].map((match) => match[1] ?? '');

describe('alert rules', () => {
  it('are valid, and pass their unit tests', () => {
    expect(promtool('check', 'rules', ...filesOf(join(PROMETHEUS, 'rules')))).toContain('SUCCESS');
    expect(promtool('test', 'rules', ...filesOf(join(PROMETHEUS, 'tests')))).toContain('SUCCESS');
    expect(promtool('check', 'config', join(PROMETHEUS, 'prometheus.yml'))).toContain('SUCCESS');
  });

  it('have a unit test each', () => {
    const tests = filesOf(join(PROMETHEUS, 'tests'))
      .map((path) => readFileSync(path, 'utf8'))
      .join('\n');
    expect(alerts.length).toBeGreaterThan(8);
    expect(alerts.filter((alert) => !tests.includes(`alertname: ${alert}\n`))).toEqual([]);
  });

  it('have a runbook each, listed in the index of runbooks', () => {
    expect(runbooks).toEqual(alerts.map((alert) => `docs/runbooks/${alert}.md`));
    expect(runbooks.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    const list = read('docs/runbooks/README.md');
    expect(alerts.filter((alert) => !list.includes(`[${alert}](${alert}.md)`))).toEqual([]);
  });

  it('name a panel, which links to the runbook', () => {
    const shown = [...rules.matchAll(/alert: (\w+)$[\s\S]*?dashboard: ([\w-]+), panel: '(\d+)'/gm)];
    expect(shown.map(([, alert]) => alert)).toEqual(alerts);
    for (const [, alert, uid, panel] of shown) {
      const dashboard = committed.find((item) => item.uid === uid);
      const links = dashboard?.panels.find(({ id }) => id === Number(panel))?.links ?? [];
      expect(
        links.map(({ url }) => url),
        `${alert}: ${uid}, panel ${panel}`,
      ).toContain(`https://humancast.dev/docs/runbooks/${alert}.md`);
    }
  });

  it("use coturn's quota as configured", () => {
    const quota = Number(/^total-quota=(\d+)$/m.exec(read('infra/turn/turnserver.conf'))?.[1]);
    expect(rules).toContain(`turn_total_allocations) > ${0.8 * quota}`);
    expect(rules).toContain(`allocations of ${quota}`);
  });
});

describe('dashboards', () => {
  it('are committed as generated', () => {
    for (const [name, dashboard] of Object.entries(dashboards)) {
      expect(JSON.parse(read(`infra/grafana/dashboards/${name}.json`)), name).toEqual(
        JSON.parse(JSON.stringify(dashboard)),
      );
    }
  });

  it.each(committed)('$title: panels have unique ids and do not overlap', ({ panels }) => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(panels.every(({ id }) => id >= 1)).toBe(true);
    const places = panels.map(({ gridPos }) => gridPos);
    expect(places.filter((a, i) => places.slice(0, i).some((b) => overlap(a, b)))).toEqual([]);
    expect(places.filter(({ x, y, w, h }) => x < 0 || y < 0 || w < 1 || h < 1 || x + w > COLUMNS)).toEqual([]);
  });

  it.each(committed)('$title: every panel has a description and uses the one data source', ({ panels }) => {
    const uid = /^ +uid: (\S+)$/m.exec(read('infra/grafana/provisioning/datasources/prometheus.yml'))?.[1];
    for (const { type, title, description, datasource, targets } of panels.filter((panel) => panel.type !== 'row')) {
      expect(PANEL_TYPES, title).toContain(type);
      expect(description, title).toMatch(/\w{3}/);
      const sources = [datasource, ...targets.map((target) => target.datasource)];
      expect(sources, title).toEqual(sources.map(() => ({ type: 'prometheus', uid })));
      expect(
        targets.every(({ expr }) => expr.trim() !== ''),
        title,
      ).toBe(true);
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
    }
  });

  it.each(committed)('$title: units exist in Grafana', ({ panels }) => {
    const units = panels.flatMap(({ fieldConfig, options }) => [fieldConfig?.defaults.unit, options?.yAxis?.unit]);
    expect(units.filter((unit) => unit !== undefined && !UNITS.includes(unit))).toEqual([]);
  });

  it.each(committed)('$title: every used variable is defined, and every defined one is used', (dashboard) => {
    const names = dashboard.templating.list.map(({ name }) => name);
    const used = dashboard.panels.flatMap(({ targets = [] }) =>
      targets.flatMap(({ expr }) => [...expr.matchAll(/\$\{?(\w+)/g)].map((match) => match[1] ?? '')),
    );
    expect([...new Set(used)].filter((name) => !name.startsWith('__')).sort()).toEqual(names.sort());
  });

  it.each(committed)('$title: links lead to existing runbooks and dashboards', (dashboard) => {
    const links = [
      ...dashboard.links,
      ...dashboard.panels.flatMap(({ links: ofPanel = [], fieldConfig }) => [
        ...ofPanel,
        ...(fieldConfig?.defaults.links ?? []),
      ]),
    ];
    for (const { type, url, tags } of links) {
      if (type === 'dashboards') {
        expect(committed.filter((other) => tags?.every((tag) => other.tags.includes(tag))).length).toBe(4);
        continue;
      }
      // The alert table fills in labels of the alert; these are checked above.
      const path = url?.replace('https://humancast.dev/', '').replace(`\${__data.fields.alertname}`, 'ServiceDown');
      if (url?.startsWith('/d/')) expect(url).toBe(`/d/\${__data.fields.dashboard}?viewPanel=\${__data.fields.panel}`);
      else expect(existsSync(join(ROOT, path ?? '')), url).toBe(true);
    }
  });

  it('show every alert in a panel', () => {
    const linked = JSON.stringify(committed);
    expect(alerts.filter((alert) => !linked.includes(`Runbook: ${alert}`))).toEqual([]);
  });

  it('are provisioned in Grafana from the folder where they are', () => {
    const compose = read('docker-compose.yml');
    expect(compose).toContain('GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: /etc/grafana/dashboards/sync.json');
    expect(read('infra/grafana/provisioning/dashboards/humancast.yml')).toContain('path: /etc/grafana/dashboards');
    expect(committed.map(({ uid }) => uid)).toEqual([
      'humancast-sync',
      'humancast-fleet',
      'humancast-media',
      'humancast-network',
    ]);
  });

  it('draw the limits of ITU-R BT.1359, EBU R37 and ATSC IS-191 on the skew panels', () => {
    const panels = committed[0]?.panels ?? [];
    const rows = panels.filter(({ type }) => type === 'heatmap');
    expect(rows.length).toBe(3);
    // The rows of a heat map are buckets: each limit is the bound of one.
    expect(SKEW_BUCKETS_SECONDS).toEqual(
      expect.arrayContaining([-0.185, -0.125, -0.06, -0.045, -0.015, 0.015, 0.04, 0.045, 0.09]),
    );
    const spreads = panels.filter(({ title }) => title?.startsWith('Spread'));
    expect(spreads.length).toBe(2);
    for (const { targets, fieldConfig } of spreads) {
      const limits = targets.flatMap(({ expr }) => /^vector\((.+)\)$/.exec(expr)?.[1] ?? []).map(Number);
      expect(limits).toEqual([0.09, 0.045, 0.04, 0.015, -0.045, -0.06]);
      const dashed = new RegExp(fieldConfig?.overrides?.[0]?.matcher.options.slice(1, -1) ?? '^$');
      const lines = targets.filter(({ legendFormat = '' }) => dashed.test(legendFormat));
      expect(lines.map(({ expr }) => expr)).toEqual(targets.slice(-limits.length).map(({ expr }) => expr));
    }
  });

  it('have at least one query in every panel', () => {
    expect(panelQueries().length).toBeGreaterThan(80);
    expect(panelQueries().filter(({ expr }) => expr.trim() === '')).toEqual([]);
  });
});

interface CommittedLink {
  type: string;
  url?: string;
  tags?: string[];
}

/** The fields of a dashboard's JSON in use. */
interface CommittedDashboard {
  uid: string;
  title: string;
  tags: string[];
  links: CommittedLink[];
  templating: { list: { name: string }[] };
  panels: {
    id: number;
    type: string;
    title?: string;
    description?: string;
    gridPos: Place;
    datasource: object;
    links?: CommittedLink[];
    options?: { yAxis?: { unit?: string } };
    fieldConfig?: {
      defaults: { unit?: string; links?: CommittedLink[] };
      overrides?: { matcher: { options: string } }[];
    };
    targets: { refId: string; expr: string; legendFormat?: string; datasource: object }[];
  }[];
}

interface Place {
  x: number;
  y: number;
  w: number;
  h: number;
}

function overlap(a: Place, b: Place): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}
