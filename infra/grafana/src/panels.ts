import {
  BigValueColorMode,
  BigValueGraphMode,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  HeatmapCellLayout,
  LegendDisplayMode,
  LegendPlacement,
  ReduceDataOptionsBuilder,
  SortOrder,
  TooltipDisplayMode,
  VizLegendOptionsBuilder,
  VizTooltipOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common';
import {
  DashboardLinkBuilder,
  DashboardLinkType,
  type Threshold,
  ThresholdsConfigBuilder,
  ThresholdsMode,
} from '@grafana/grafana-foundation-sdk/dashboard';
import {
  PanelBuilder as HeatmapBuilder,
  HeatmapColorMode,
  HeatmapColorOptionsBuilder,
  HeatmapColorScale,
  HeatmapTooltipBuilder,
  RowsHeatmapOptionsBuilder,
  YAxisConfigBuilder,
} from '@grafana/grafana-foundation-sdk/heatmap';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';

export const DATASOURCE = { type: 'prometheus', uid: 'humancast-prometheus' } as const;
const RUNBOOKS = 'https://humancast.dev/docs/runbooks';
/** Columns of a panel, out of 24. */
const HALF = 12;
const HEIGHT = 8;
const STAT_HEIGHT = 4;

/** Grafana's names of units (`grafana/data`, valueFormats). */
type Unit = 's' | 'percentunit' | 'short' | 'bytes' | 'Bps' | 'bps' | 'ops' | 'pps' | 'none';

export interface PanelText {
  /** Id that an alert refers to, 1 to 99, unique in its dashboard; other panels are numbered by position, from 101. */
  id?: number;
  title: string;
  /** What the panel shows, and which values are good. */
  description: string;
  unit?: Unit;
  /** Columns, of 24. */
  span?: number;
  /** Alerts that this panel explains. */
  alert?: string | readonly string[];
}

/** Thresholds from which a value is orange or red instead of green. */
export interface Limits {
  warn?: number;
  bad: number;
}

export interface Line {
  expr: string;
  /** Legend, with `{{label}}` placeholders. */
  legend: string;
}

export function lines(text: PanelText, queries: readonly Line[], options: { limits?: Limits; min?: number } = {}) {
  const panel = new TimeseriesBuilder()
    .title(text.title)
    .description(text.description)
    .datasource(DATASOURCE)
    .unit(text.unit ?? 'short')
    .span(text.span ?? HALF)
    .height(HEIGHT)
    .lineWidth(2)
    .fillOpacity(6)
    .legend(
      new VizLegendOptionsBuilder()
        .showLegend(true)
        .displayMode(LegendDisplayMode.List)
        .placement(LegendPlacement.Bottom),
    )
    .tooltip(new VizTooltipOptionsBuilder().mode(TooltipDisplayMode.Multi).sort(SortOrder.Descending));
  for (const { expr, legend } of queries) panel.withTarget(query(expr).legendFormat(legend));
  if (options.min !== undefined) panel.min(options.min);
  if (options.limits) {
    const style = new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Dashed);
    panel.thresholds(steps(limitSteps(options.limits))).thresholdsStyle(style);
  }
  if (text.id !== undefined) panel.id(text.id);
  if (text.alert !== undefined) panel.links([text.alert].flat().map(runbook));
  return panel;
}

/**
 * Standard limits of skew; positive values mean late video. Of ITU-R BT.1359, the limits of detectability and acceptability
 * for late video; its limits for late audio, 125 and 185 ms, lie far outside of the chart.
 */
const SKEW_LIMITS: readonly Line[] = [
  { expr: 'vector(0.09)', legend: 'ITU-R BT.1359, acceptable: +90 ms' },
  { expr: 'vector(0.045)', legend: 'ITU-R BT.1359, detectable: +45 ms' },
  { expr: 'vector(0.04)', legend: 'EBU R37: +40 ms' },
  { expr: 'vector(0.015)', legend: 'ATSC IS-191: +15 ms' },
  { expr: 'vector(-0.045)', legend: 'ATSC IS-191: −45 ms' },
  { expr: 'vector(-0.06)', legend: 'EBU R37: −60 ms' },
];

/** Plots skew with the limits as lines, and a red area outside of EBU R37: audio up to 40 ms early and 60 ms late. */
export function skewLines(text: PanelText, queries: readonly Line[]) {
  const r37 = steps([
    { value: null, color: 'red' },
    { value: -0.06, color: 'green' },
    { value: 0.04, color: 'red' },
  ]);
  const style = new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Area);
  return lines({ unit: 's', ...text }, [...queries, ...SKEW_LIMITS])
    .overrideByRegexp('/: [+−]\\d+ ms$/', [
      { id: 'custom.lineWidth', value: 1 },
      { id: 'custom.lineStyle', value: { fill: 'dash', dash: [6, 6] } },
      { id: 'color', value: { mode: 'fixed', fixedColor: 'text' } },
    ])
    .thresholds(r37)
    .thresholdsStyle(style)
    .fillOpacity(0)
    .axisSoftMin(-0.08)
    .axisSoftMax(0.08);
}

/** Shows a histogram over time; its rows are the buckets. */
export function heatmap(text: PanelText, bucketsExpr: string) {
  const panel = new HeatmapBuilder()
    .title(text.title)
    .description(text.description)
    .datasource(DATASOURCE)
    .span(text.span ?? HALF)
    .height(HEIGHT + 2)
    .calculate(false)
    .rowsFrame(new RowsHeatmapOptionsBuilder().layout(HeatmapCellLayout.Le))
    .yAxis(new YAxisConfigBuilder().unit(text.unit ?? 's'))
    .color(
      new HeatmapColorOptionsBuilder()
        .mode(HeatmapColorMode.Scheme)
        .scheme('Turbo')
        .scale(HeatmapColorScale.Exponential)
        .exponent(0.5)
        .steps(64),
    )
    .cellGap(1)
    .tooltip(new HeatmapTooltipBuilder().mode(TooltipDisplayMode.Single).yHistogram(true).showColorScale(true))
    .withTarget(query(bucketsExpr).format(PromQueryFormat.Heatmap).legendFormat('{{le}}'));
  if (text.id !== undefined) panel.id(text.id);
  if (text.alert !== undefined) panel.links([text.alert].flat().map(runbook));
  return panel;
}

export function stat(text: PanelText, expr: string, options: { limits?: Limits; goodFrom?: number } = {}) {
  const panel = new StatBuilder()
    .title(text.title)
    .description(text.description)
    .datasource(DATASOURCE)
    .unit(text.unit ?? 'short')
    .span(text.span ?? 4)
    .height(STAT_HEIGHT)
    .graphMode(BigValueGraphMode.Area)
    .colorMode(BigValueColorMode.Value)
    .reduceOptions(new ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .noValue('–')
    .withTarget(query(expr));
  if (options.limits) panel.thresholds(steps(limitSteps(options.limits)));
  if (options.goodFrom !== undefined) {
    panel.thresholds(
      steps([
        { value: null, color: 'red' },
        { value: options.goodFrom, color: 'green' },
      ]),
    );
  }
  if (text.id !== undefined) panel.id(text.id);
  if (text.alert !== undefined) panel.links([text.alert].flat().map(runbook));
  return panel;
}

/** Lists firing alerts with links to their panel and runbook. */
export function firingAlerts() {
  const hidden = ['Time', 'Value', '__name__', 'alertstate'];
  return new TableBuilder()
    .title('Alerts')
    .description('Firing alerts, with links to the runbook and the panel.')
    .datasource(DATASOURCE)
    .span(8)
    .height(STAT_HEIGHT)
    .noValue('No alerts')
    .withTarget(query('ALERTS{alertstate="firing"}').instant().format(PromQueryFormat.Table))
    .withTransformation({
      id: 'organize',
      options: { excludeByName: Object.fromEntries(hidden.map((name) => [name, true])) },
    })
    .dataLinks([
      new DashboardLinkBuilder('Runbook')
        .type(DashboardLinkType.Link)
        .url(`${RUNBOOKS}/\${__data.fields.alertname}.md`)
        .targetBlank(true),
      new DashboardLinkBuilder('Panel')
        .type(DashboardLinkType.Link)
        .url(`/d/\${__data.fields.dashboard}?viewPanel=\${__data.fields.panel}`),
    ]);
}

/** Shows the latest value of each series, with its labels as columns. */
export function table(text: PanelText, expr: string, hidden: readonly string[] = []) {
  const excluded = ['Time', '__name__', ...hidden];
  return new TableBuilder()
    .title(text.title)
    .description(text.description)
    .datasource(DATASOURCE)
    .unit(text.unit ?? 'short')
    .span(text.span ?? HALF)
    .height(HEIGHT)
    .withTarget(query(expr).instant().format(PromQueryFormat.Table))
    .withTransformation({
      id: 'organize',
      options: { excludeByName: Object.fromEntries(excluded.map((name) => [name, true])) },
    });
}

function runbook(alert: string): DashboardLinkBuilder {
  return new DashboardLinkBuilder(`Runbook: ${alert}`)
    .type(DashboardLinkType.Link)
    .url(`${RUNBOOKS}/${alert}.md`)
    .targetBlank(true);
}

function query(expr: string): DataqueryBuilder {
  return new DataqueryBuilder().datasource(DATASOURCE).expr(expr).range();
}

function steps(list: Threshold[]): ThresholdsConfigBuilder {
  return new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(list);
}

function limitSteps({ warn, bad }: Limits): Threshold[] {
  return [
    { value: null, color: 'green' },
    ...(warn === undefined ? [] : [{ value: warn, color: 'orange' }]),
    { value: bad, color: 'red' },
  ];
}
