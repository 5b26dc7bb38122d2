/** The Grafana dashboard of a fleet (examples/monitoring/dashboard.json), made from panels.ts by Grafana's own builders. */
import * as common from '@grafana/grafana-foundation-sdk/common';
import {
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as TableBuilder } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as LinesBuilder } from '@grafana/grafana-foundation-sdk/timeseries';
import { type Panel, ROWS } from './panels.ts';

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' };
/** The variables that the reader can choose: label, query. */
export const CHOICES = {
  fleet: { label: 'Fleet', query: 'label_values(fairlead_info, fleet)' },
  instance: { label: 'Host', query: 'label_values(fairlead_info{fleet=~"$fleet"}, instance)' },
} as const;

/** The dashboard as JSON, as `npm run dashboard` writes it. */
export function dashboardText(): string {
  const builder = new DashboardBuilder('Fairlead')
    .uid('fairlead')
    .description('Hosts that follow a git repository: their states, runs, drift and problems.')
    .tags(['fairlead'])
    .timezone('browser')
    .tooltip(DashboardCursorSync.Crosshair)
    .refresh('1m')
    .time({ from: 'now-24h', to: 'now' })
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'));
  for (const [name, { label, query }] of Object.entries(CHOICES))
    builder.withVariable(
      new QueryVariableBuilder(name)
        .label(label)
        .query(query)
        .datasource(DATASOURCE)
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .sort(VariableSort.AlphabeticalAsc)
        .multi(true)
        .includeAll(true),
    );
  for (const { title, panels } of ROWS) {
    builder.withRow(new RowBuilder(title));
    for (const panel of panels) builder.withPanel(panelOf(panel));
  }
  return `${JSON.stringify(builder.build(), null, 2)}\n`;
}

function panelOf(panel: Panel): StatBuilder | TableBuilder | LinesBuilder {
  const { title, description, look, width, unit, redFrom, queries } = panel;
  const isNow = look === 'number' || look === 'table';
  const made =
    look === 'number' ? new StatBuilder() : look === 'table' ? new TableBuilder() : new LinesBuilder().fillOpacity(10);
  if (made instanceof LinesBuilder && look === 'stack')
    made.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal)).fillOpacity(40);
  if (redFrom !== undefined)
    made.thresholds(
      new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps([
        { value: null, color: 'green' },
        { value: redFrom, color: 'red' },
      ]),
    );
  made
    .title(title)
    .description(description)
    .datasource(DATASOURCE)
    .span(width)
    .height(look === 'number' ? 4 : 8);
  if (unit !== undefined) made.unit(unit);
  queries.forEach(({ expr, legend }, i) => {
    const query = new DataqueryBuilder()
      .expr(expr)
      .refId(String.fromCharCode('A'.charCodeAt(0) + i))
      .datasource(DATASOURCE);
    if (legend !== undefined) query.legendFormat(legend);
    if (isNow) query.instant();
    else query.range();
    if (look === 'table') query.format(PromQueryFormat.Table);
    made.withTarget(query);
  });
  return made;
}
