import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard';
import { fleet } from './fleet.ts';
import { media } from './media.ts';
import { network } from './network.ts';
import { sync } from './sync.ts';

/** Ids below this are set by hand. */
const FIRST_FREE_ID = 101;

/** Dashboards as Grafana reads them, by file name without extension. */
export const dashboards = {
  sync: numbered(sync.build()),
  fleet: numbered(fleet.build()),
  media: numbered(media.build()),
  network: numbered(network.build()),
} as const;

/** Numbers panels and queries without an id. Panels that alerts lead to keep their own, so that a new panel changes none. */
function numbered({ panels = [], ...dashboard }: Dashboard): Dashboard {
  return {
    ...dashboard,
    panels: panels.map((panel, i) => ({
      ...panel,
      id: panel.id || FIRST_FREE_ID + i,
      ...('targets' in panel && {
        targets: panel.targets?.map((target, k) => ({ refId: String.fromCharCode(0x41 + k), ...target })),
      }),
    })),
  };
}
