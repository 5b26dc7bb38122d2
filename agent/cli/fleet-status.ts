/** `fairlead fleet status`: every host of the fleet in a row, those that need somebody on top. */
import { isHostName } from '../../manifests-schema/agent-config.ts';
import { AgentError } from '../errors.ts';
import type { FleetReading } from '../fleet/client.ts';
import { commitSpread, isWell, select } from '../fleet/model.ts';
import { readNamed } from '../reading.ts';
import { openFleet } from '../repo/fleet.ts';
import { openPlain } from '../repo/tree.ts';
import { type BrokerFlags, brokerComplaint, brokerRequest } from './broker-flags.ts';
import { type Context, EXIT } from './context.ts';
import { table } from './table.ts';
import { ago, type Reader, shortId, tone } from './words.ts';

export interface FleetStatusFlags extends BrokerFlags {
  /** A file with a name in each line. */
  hosts?: string;
  repo?: string;
  host?: string;
  label: string[];
  state?: string;
  behind?: boolean;
}

export async function fleetStatus(c: Context, flags: FleetStatusFlags): Promise<number> {
  const labels = flags.label.map(labelOf);
  const wrong = labels.indexOf(null);
  const complaint = wrong >= 0 ? `--label takes KEY=VALUE, got ${flags.label[wrong]}` : brokerComplaint(flags);
  if (complaint !== null) {
    c.complain(complaint);
    return EXIT.usage;
  }
  const hosts = await namesOf(flags);
  const reading = await c.deps.readFleet(c.options, { ...brokerRequest(flags), ...(hosts ? { hosts } : {}) });
  const filter = {
    ...{ host: flags.host, state: flags.state, behind: flags.behind ?? false },
    labels: labels.filter((label) => label !== null),
  };
  const rows = select(reading.rows, filter);
  const unwell = rows.filter((row) => !isWell(row)).length;
  const counts = { fleet: reading.rows.length, shown: rows.length, well: rows.length - unwell };
  const document = { schema: 1, way: reading.way, counts, commits: commitSpread(rows), hosts: rows };
  c.print(document, () => fleetText({ ...reading, rows }, counts, c));
  return unwell === 0 ? EXIT.ok : EXIT.bad;
}

function labelOf(text: string): readonly [string, string] | null {
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  return key === undefined || value === undefined ? null : [key, value];
}

/** @returns null where the index on the broker is to be read */
async function namesOf({ hosts, repo }: FleetStatusFlags): Promise<string[] | null> {
  if (repo !== undefined) return (await openFleet(openPlain(repo))).hosts.map(({ name }) => name);
  if (hosts === undefined) return null;
  const lines = (await readList(hosts)).split('\n');
  const named = lines.map((line, at) => ({ name: line.replace(/#.*/, '').trim(), at: at + 1 })).filter((l) => l.name);
  const bad = named.find(({ name }) => !isHostName(name));
  if (bad !== undefined) throw unusable(`${hosts}:${bad.at}: ${bad.name} is no name of a host; write one in each line`);
  return [...new Set(named.map(({ name }) => name))];
}

async function readList(file: string): Promise<string> {
  try {
    return (await readNamed(file === '-' ? '/dev/stdin' : file)).toString('utf8');
  } catch (thrown) {
    throw unusable(`cannot read ${file}: ${thrown instanceof Error ? thrown.message : String(thrown)}`);
  }
}

const unusable = (message: string) => new AgentError({ code: 'InvalidArgument', phase: 'report', message });

interface Counts {
  fleet: number;
  shown: number;
  well: number;
}

/** So many commits are named at the end; more than that are a story of their own. */
const COMMITS = 3;

function fleetText({ rows, way }: FleetReading, { fleet, shown, well }: Counts, page: Reader): string {
  if (fleet === 0) return way === 'index' ? 'No host has reported to this broker.' : 'The list names no host.';
  const cells = rows.map((r) => [
    r.host,
    r.presence,
    r.sync,
    r.health,
    shortId(r.applied ?? r.commit),
    ago(r.at, page.now()),
    r.message || r.subject,
  ]);
  const of = shown === fleet ? '' : ` of ${fleet}`;
  const spread = commitSpread(rows);
  const commits = spread
    .slice(0, COMMITS)
    .map(({ commit, hosts }) => `${hosts} on ${commit === null ? 'no commit' : shortId(commit)}`);
  const others = spread.length > COMMITS ? [`${spread.length - COMMITS} more commits`] : [];
  const tail = [
    `${shown}${of} ${shown === 1 ? 'host' : 'hosts'}: ${well} well, ${shown - well} not; ${[...commits, ...others].join(', ')}`,
    ...(way === 'list' ? ['The names are those of the list: hosts that are not on it are unknown.'] : []),
  ];
  const head = ['HOST', 'PRESENCE', 'SYNC', 'HEALTH', 'COMMIT', 'REPORTED', 'WHAT'];
  const paint = (cell: string, column: number) => (column >= 1 && column <= 3 ? tone(cell, page.style) : cell);
  return [...(rows.length > 0 ? [table(head, cells, page, paint), ''] : []), ...tail].join('\n');
}
