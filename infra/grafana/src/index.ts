import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { fleet } from './fleet.ts';
import { media } from './media.ts';
import { network } from './network.ts';
import { sync } from './sync.ts';

/** File name without its ending → the dashboard, as Grafana reads it. */
export const dashboards = {
  sync: numbered(sync.build()),
  fleet: numbered(fleet.build()),
  media: numbered(media.build()),
  network: numbered(network.build()),
} as const;

/** Panels and queries with ids, which Grafana would otherwise give out itself: links lead to panels by their number. */
function numbered({ panels = [], ...dashboard }: Dashboard): Dashboard {
  return {
    ...dashboard,
    panels: panels.map((panel, i) => ({
      ...panel,
      id: i + 1,
      ...('targets' in panel && {
        targets: panel.targets?.map((target, k) => ({ refId: String.fromCharCode(0x41 + k), ...target })),
      }),
    })),
  };
}
