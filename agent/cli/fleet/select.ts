/** Which hosts of a fleet a command is about: by name, label, state and commit, and where their names come from. */
import { type Command, Option } from 'commander';
import { isHostName } from '../../../manifests-schema/host-name.ts';
import { AgentError } from '../../errors.ts';
import type { Filter } from '../../fleet/reader/model.ts';
import { ROLL_CALL_MS } from '../../fleet/reader/roll-call.ts';
import { readNamed } from '../../reading.ts';
import { openFleet } from '../../repo/fleet.ts';
import { openPlain } from '../../repo/tree.ts';
import type { Context, FleetRequest } from '../context.ts';
import { type BrokerFlags, brokerComplaint, brokerRequest } from './broker-flags.ts';

/** Source of the host names, if it is not the index on the broker. */
export interface NamesFrom {
  /** A file with a name in each line. */
  hosts?: string | undefined;
  repo?: string | undefined;
  /** Listen for hosts that report, if the broker cannot list them. */
  rollCall?: boolean | undefined;
}

export interface SelectionFlags extends NamesFrom {
  host?: string;
  label: string[];
  state?: string;
  behind?: boolean;
}

/** The parsed flags: where the fleet is read, and which of its hosts are wanted. */
export interface Selection {
  request: FleetRequest;
  filter: Filter;
}

/** For an option that may be given several times. */
export const collect = (value: string, before: readonly string[]): string[] => [...before, value];

export const addSelectionFlags = (command: Command): Command =>
  command
    .option('--host <pattern>', 'only hosts whose name matches, such as `berlin-*`')
    .option('--label <key=value>', 'only hosts with this label; can be repeated: with all of them', collect, [])
    .option('--state <state>', 'only hosts with this sync, health or presence, or `paused`')
    .option('--behind', 'only hosts that do not run the newest commit')
    .addOption(new Option('--hosts <file>', 'file with host names, one a line, instead of the index on the broker'))
    .addOption(new Option('--repo <dir>', 'the same, from a fleet repository').conflicts('hosts'))
    .addOption(
      new Option(
        '--roll-call',
        `the same, from hosts that report within ${ROLL_CALL_MS / 1_000} s; only if the broker cannot list them`,
      ).conflicts(['hosts', 'repo']),
    );

/** @returns null if the flags cannot be used; then the user has been told why. @throws {AgentError} if no names can be read */
export async function selectionOf(c: Context, flags: BrokerFlags & SelectionFlags): Promise<Selection | null> {
  const filter = filterOf(flags);
  const complaint = typeof filter === 'string' ? filter : brokerComplaint(flags);
  if (typeof filter === 'string' || complaint !== null) {
    c.complain(complaint ?? '');
    return null;
  }
  return { filter, request: { ...brokerRequest(flags), ...(await namingOf(flags)) } };
}

/** @returns what the flags say, or why they cannot be used */
export function filterOf({ label, host, state, behind = false }: SelectionFlags): Filter | string {
  const labels = label.map((text) => {
    const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    return key === undefined || value === undefined ? text : ([key, value] as const);
  });
  const wrong = labels.find((one) => typeof one === 'string');
  if (wrong !== undefined) return `--label takes KEY=VALUE, got ${wrong}`;
  return { host, state, behind, labels: labels.filter((one) => typeof one !== 'string') };
}

/** Where the names of a request come from. @throws {AgentError} as `namesOf` */
export async function namingOf(flags: NamesFrom): Promise<Pick<FleetRequest, 'hosts' | 'rollCallMs'>> {
  const hosts = await namesOf(flags);
  if (hosts !== null) return { hosts };
  return flags.rollCall ? { rollCallMs: ROLL_CALL_MS } : {};
}

/** @returns null if the index on the broker is to be read */
export async function namesOf({ hosts, repo }: NamesFrom): Promise<string[] | null> {
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
