/** `fairlead fleet show HOST`: status, resources and the newest runs of one host, from the broker. */
import { isHostName } from '../../../manifests-schema/host-name.ts';
import type { HostReading } from '../../fleet/reader/host.ts';
import { tamed } from '../../tame.ts';
import { type Context, EXIT } from '../context.ts';
import { actionText } from '../text/print.ts';
import { statusText } from '../text/status-text.ts';
import { table, wrap } from '../text/table.ts';
import { ago, count, type Reader, shortId, tone } from '../text/words.ts';
import { type BrokerFlags, brokerComplaint, brokerRequest } from './broker-flags.ts';
import { printEvent } from './events.ts';

export interface FleetShowFlags extends BrokerFlags {
  follow?: boolean;
}

export async function fleetShow(c: Context, host: string, flags: FleetShowFlags): Promise<number> {
  const complaint = isHostName(host) ? brokerComplaint(flags) : `${host} is no name of a host`;
  if (complaint !== null) {
    c.complain(complaint);
    return EXIT.usage;
  }
  const request = brokerRequest(flags);
  const reading = await c.deps.readHost(c.options, { ...request, host });
  const isKnown = reading.presence !== 'unknown' || reading.status !== null || reading.unreadable.length > 0;
  if (!isKnown) {
    c.complain(`the broker has nothing of ${host}; \`fairlead fleet status\` names the hosts that it has`);
    return EXIT.unknown;
  }
  c.print({ schema: 1, ...reading }, () => hostText(reading, c));
  if (flags.follow)
    await c.deps.followFleet(
      c.options,
      { ...request, hosts: [host], signal: c.terminal.interrupted() },
      {
        onRead: () => undefined,
        onRow: () => undefined,
        onEvent: (event) => printEvent(c, event),
        onLost: (error, pauseMs) => c.complain(`${error.message}; tried again in ${pauseMs / 1_000} s`),
      },
    );
  const { status, presence } = reading;
  const isWell = presence === 'online' && status?.sync === 'synced' && status.health === 'healthy';
  return isWell || flags.follow ? EXIT.ok : EXIT.bad;
}

/** Runs that are shown; --json has all that the broker keeps. */
const RUNS = 8;
/** Actions of a run that are shown. */
const ACTIONS = 5;
/** Resources that are well are counted beyond this many. */
const RESOURCES = 20;

function hostText(document: HostReading, page: Reader): string {
  const { presence, status, resources, history, unreadable, host } = tamed(document);
  const { style, columns, now } = page;
  const lines = [`${style.bold(host)} is ${tone(presence, style)}`];
  lines.push(status ? statusText(status, page) : 'The broker has no status of this host that can be shown.');
  if (unreadable.length > 0)
    lines.push(`This version cannot read its ${unreadable.join(', ')}: another version of fairlead wrote it.`);
  if (resources && resources.length > 0) {
    const isUnwell = (r: { sync: string; health: string }) => r.sync !== 'synced' || r.health !== 'healthy';
    const unwell = resources.filter(isUnwell);
    const shown = [...unwell, ...resources.filter((r) => !isUnwell(r))].slice(0, Math.max(RESOURCES, unwell.length));
    const cells = shown.map(({ id, sync, health, reason }) => [id, sync, health, reason]);
    const paint = (cell: string, column: number) => (column === 1 || column === 2 ? tone(cell, style) : cell);
    lines.push('', table(['RESOURCE', 'SYNC', 'HEALTH', 'REASON'], cells, page, paint));
    if (shown.length < resources.length) lines.push(`… ${resources.length - shown.length} more that are well`);
  }
  for (const run of history?.runs.slice(0, RUNS) ?? []) {
    const what = `${count(run.changed, 'change')}, ${run.failed} failed, ${run.repaired} repaired`;
    lines.push(
      '',
      wrap(
        `${style.bold(`#${run.id}`)}  ${ago(run.startedAt, now())}, ${run.trigger}: ${tone(run.sync, style)}, ${shortId(run.commit?.commit)}, ${what}${run.message ? `  ${run.message}` : ''}`,
        columns,
        4,
      ),
      ...run.actions.slice(0, ACTIONS).map((action) => wrap(`  ${actionText(action, style)}`, columns, 4)),
    );
    if (run.actionsTotal > ACTIONS) lines.push(`  … ${run.actionsTotal - ACTIONS} more`);
  }
  return lines.join('\n');
}
