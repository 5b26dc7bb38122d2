/** `fairlead fleet events`: what happens on the hosts of a fleet, as it happens, until Ctrl-C. */
import type { AnyEvent, EventDocument } from '../../../manifests-schema/payloads.ts';
import { type FleetRow, isChosen, newestCommit } from '../../fleet/reader/model.ts';
import { type Context, EXIT } from '../context.ts';
import { EVENT_INDENT, eventText } from '../text/event-text.ts';
import { wrap } from '../text/table.ts';
import type { BrokerFlags } from './broker-flags.ts';
import { type SelectionFlags, selectionOf } from './select.ts';

export async function fleetEvents(c: Context, flags: BrokerFlags & SelectionFlags): Promise<number> {
  const selection = await selectionOf(c, flags);
  if (selection === null) return EXIT.usage;
  const { filter, request } = selection;
  let rows: ReadonlyMap<string, FleetRow> = new Map();
  await c.deps.followFleet(
    c.options,
    { ...request, signal: c.terminal.interrupted() },
    {
      onRead(read) {
        rows = read;
      },
      onRow: () => undefined,
      onEvent(event) {
        const row = rows.get(event.host);
        const newest = filter.behind ? newestCommit(rows.values()) : null;
        if (row && isChosen(row, filter, newest)) printEvent(c, event);
      },
      onLost: (error, pauseMs) => c.complain(`${error.message}; tried again in ${pauseMs / 1_000} s`),
    },
  );
  return EXIT.ok;
}

/** With the host in front. */
export function printEvent(c: Context, event: AnyEvent): void {
  if (c.options.json) c.write(JSON.stringify(event));
  else {
    const name = `${event.host}  `;
    // An event of a newer agent with an unknown type is shown like a change.
    c.say(wrap(name + eventText(event as EventDocument, c.style), c.columns, name.length + EVENT_INDENT));
  }
}
