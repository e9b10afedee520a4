import {
  DashboardBuilder,
  DashboardCursorSync,
  DashboardLinkBuilder,
  DashboardLinkType,
  QueryVariableBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DATASOURCE } from './panels.ts';

const TAG = 'humancast';

/** Label matcher of the selected media-senders. */
export const SENDER = 'instance=~"$sender"';

export function dashboard(uid: string, title: string, description: string): DashboardBuilder {
  return new DashboardBuilder(`humancast ${title}`)
    .uid(uid)
    .description(description)
    .tags([TAG])
    .readonly()
    .timezone('browser')
    .time({ from: 'now-30m', to: 'now' })
    .refresh('5s')
    .tooltip(DashboardCursorSync.Crosshair)
    .link(
      new DashboardLinkBuilder('humancast')
        .type(DashboardLinkType.Dashboards)
        .tags([TAG])
        .keepTime(true)
        .includeVars(true),
    )
    .link(
      new DashboardLinkBuilder('Runbooks')
        .type(DashboardLinkType.Link)
        .url('https://humancast.dev/docs/runbooks/README.md')
        .targetBlank(true),
    );
}

/** A variable with the existing values; default: all. */
export function variable(name: string, label: string, labelValues: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(DATASOURCE)
    .query(labelValues)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ text: ['All'], value: ['$__all'] });
}

export const senderVariable = () =>
  variable('sender', 'Media-sender', 'label_values(humancast_sender_capacity, instance)');
