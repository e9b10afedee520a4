import { dashboards } from '../../infra/grafana/src/index.ts';

export interface PanelQuery {
  /** Identifies a panel: `sync: Lateness`. */
  readonly name: string;
  readonly expr: string;
}

/** Values of Grafana's variables with everything selected and a scrape interval of a second. */
const VARIABLES: Readonly<Record<string, string>> = {
  $sender: '.*',
  $avatar: '.*',
  $__rate_interval: '15s',
  $__range: '10m',
};

/** @returns every query of every panel, as Grafana sends it. */
export function panelQueries(): PanelQuery[] {
  return Object.entries(dashboards).flatMap(([dashboard, { panels = [] }]) =>
    panels.flatMap((panel) => {
      if (!('targets' in panel)) return [];
      return (panel.targets ?? []).map((target) => ({
        name: `${dashboard}: ${panel.title}`,
        expr: withVariables((target as { expr?: string }).expr ?? ''),
      }));
    }),
  );
}

function withVariables(expr: string): string {
  const replaced = expr.replaceAll(/\$\w+/g, (name) => VARIABLES[name] ?? name);
  if (replaced.includes('$')) throw new Error(`unknown variable in: ${expr}`);
  return replaced;
}
