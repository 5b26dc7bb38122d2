/** `fairlead fleet status`: every host of the fleet in a row, those that need somebody on top. */
import { commitSpread, isWell, select } from '../../fleet/reader/model.ts';
import { type Context, EXIT } from '../context.ts';
import type { BrokerFlags } from './broker-flags.ts';
import { nobody, rowsText, summary, unknownBy } from './rows-text.ts';
import { type SelectionFlags, selectionOf } from './select.ts';
import { fleetWatch } from './watch.ts';

export interface FleetStatusFlags extends BrokerFlags, SelectionFlags {
  watch?: boolean;
}

export async function fleetStatus(c: Context, flags: FleetStatusFlags): Promise<number> {
  if (flags.watch) return fleetWatch(c, flags);
  const selection = await selectionOf(c, flags);
  if (selection === null) return EXIT.usage;
  const { filter, request } = selection;
  const reading = await c.deps.readFleet(c.options, request);
  const rows = select(reading.rows, filter);
  const unwell = rows.filter((row) => !isWell(row)).length;
  const counts = { fleet: reading.rows.length, shown: rows.length, well: rows.length - unwell };
  const document = { schema: 1, way: reading.way, counts, commits: commitSpread(rows), hosts: rows };
  c.print(document, () => {
    if (counts.fleet === 0) return nobody(reading.way);
    const shown = rows.length > 0 ? [rowsText(rows, c), ''] : [];
    const unknown = unknownBy(reading.way);
    return [...shown, summary(rows, counts), ...(unknown === null ? [] : [unknown])].join('\n');
  });
  return unwell === 0 ? EXIT.ok : EXIT.bad;
}
