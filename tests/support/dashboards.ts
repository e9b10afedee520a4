import { dashboards } from '../../infra/grafana/src/index.ts';

export interface PanelQuery {
  /** `sync: Lateness` */
  readonly name: string;
  readonly expr: string;
}

/** What Grafana puts in place of its variables, with everything chosen and Prometheus asking once a second. */
const VARIABLES: Readonly<Record<string, string>> = {
  $sender: '.*',
  $avatar: '.*',
  $__rate_interval: '15s',
  $__range: '10m',
};

/** Every query of every panel, as Grafana would ask it. */
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
  if (replaced.includes('$')) throw new Error(`a variable that nobody knows in: ${expr}`);
  return replaced;
}
