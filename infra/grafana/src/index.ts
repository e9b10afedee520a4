import { fleet } from './fleet.ts';
import { media } from './media.ts';
import { network } from './network.ts';
import { sync } from './sync.ts';

/** File name without its ending → the dashboard, as Grafana reads it. */
export const dashboards = {
  sync: sync.build(),
  fleet: fleet.build(),
  media: media.build(),
  network: network.build(),
} as const;
