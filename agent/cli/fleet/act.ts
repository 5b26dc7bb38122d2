/** `fairlead fleet sync`, `plan`, `pause`, `resume`, `rollback`: hosts chosen by name, label or state are asked over the broker. */
import type { CommandName } from '../../../manifests-schema/command-names.ts';
import { durationMs } from '../../../manifests-schema/duration.ts';
import { AgentError } from '../../errors.ts';
import { type HostOutcome, unanswered } from '../../fleet/act/outcome.ts';
import { type FleetRow, select } from '../../fleet/reader/model.ts';
import { type Context, EXIT } from '../context.ts';
import { outcomeText, planOutcomeText, previewText, summaryText } from './act-text.ts';
import { type BrokerFlags, brokerComplaint, brokerRequest } from './broker-flags.ts';
import { filterOf, namingOf, type SelectionFlags } from './select.ts';

export interface FleetActFlags extends BrokerFlags, SelectionFlags {
  all?: boolean;
  yes?: boolean;
  maxParallel: number;
  stopAfter?: number;
  timeout: string;
  reason?: string;
  /** sync */
  plan?: boolean;
  force?: boolean;
  adopt?: boolean;
  allowPrune?: boolean;
  /** pause */
  for?: string;
  /** plan, rollback */
  commit?: string;
}

const WHICH =
  'which hosts? name them, or choose them by --label, --state or --host; --all takes every host of the fleet';
/** More hosts than this are touched only when somebody has said yes. */
const FEW = 10;

/** @param named names of hosts; with any, `--label` and `--state` choose among them */
export async function fleetAct(
  c: Context,
  command: CommandName,
  named: readonly string[],
  flags: FleetActFlags,
): Promise<number> {
  const filter = filterOf(flags);
  if (typeof filter === 'string') return usage(c, filter);
  const isChosen =
    named.length + filter.labels.length > 0 || (filter.state ?? filter.host) !== undefined || filter.behind;
  const complaint = isChosen || flags.all === true ? brokerComplaint(flags) : WHICH;
  if (complaint !== null) return usage(c, complaint);
  const naming = named.length > 0 ? { hosts: [...new Set(named)] } : await namingOf(flags);
  const { rows } = await c.deps.readFleet(c.options, { ...brokerRequest(flags), ...naming });
  const missing = rows.filter(
    ({ host, presence, at }) => named.includes(host) && presence === 'unknown' && at === null,
  );
  if (missing.length > 0) throw unknown(missing.map(({ host }) => host));
  const chosen = select(rows, filter);
  const asked = flags.plan && command === 'sync' ? ['plan', 'sync'] : [command];
  const barred = chosen.flatMap((row) => whyNot(row, asked) ?? []);
  const hosts = chosen.map(({ host }) => host).filter((host) => !barred.some((one) => one.host === host));
  const say = (text: string) => {
    if (!c.options.json) c.say(text);
  };
  say(previewText({ chosen, barred, hosts, command, args: argsOf(command, flags) }, c));
  const isSilent = c.options.json === true || c.terminal.ask === undefined;
  const needsYes = flags.yes !== true && hosts.length > 0 && (hosts.length > FEW || flags.plan === true);
  if (needsYes && isSilent) return usage(c, `this touches ${count(hosts.length)}; add --yes in scripts`);
  const request = { ...brokerRequest(flags), ...pace(flags), signal: c.terminal.interrupted() };
  let outcomes: HostOutcome[] = barred;
  let left = hosts;
  if (flags.plan && command === 'sync') {
    const told = (outcome: HostOutcome) => say(planOutcomeText(outcome, c));
    const planned = await c.deps.actOnFleet(c.options, { ...request, command: 'plan', args: {}, hosts, told });
    if (planned.lost !== null) throw gone(planned.lost);
    outcomes = [...outcomes, ...planned.outcomes.filter(({ outcome }) => outcome !== 'done')];
    left = planned.outcomes.filter(({ outcome }) => outcome === 'done').map(({ host }) => host);
  }
  if (needsYes && left.length > 0 && !request.signal.aborted) {
    const answer = (await c.terminal.ask?.(`${command} ${count(left.length)}? [y/N] `)) ?? '';
    if (!/^y(es)?$/i.test(answer.trim())) {
      say('Nothing was asked of any host.');
      return EXIT.bad;
    }
  }
  const told = (outcome: HostOutcome) =>
    say(command === 'plan' ? planOutcomeText(outcome, c) : outcomeText(outcome, c));
  const args = argsOf(command, flags);
  const acted =
    left.length === 0
      ? { outcomes: [], lost: null }
      : await c.deps.actOnFleet(c.options, { ...request, command, args, hosts: left, told });
  outcomes = [...outcomes, ...acted.outcomes];
  c.print({ schema: 1, command, lost: acted.lost, hosts: outcomes }, () => summaryText(outcomes, c));
  if (acted.lost !== null) {
    c.complain(gone(acted.lost).message);
    return EXIT.unreachable;
  }
  if (request.signal.aborted) return EXIT.interrupted;
  return outcomes.length > 0 && outcomes.every(({ outcome }) => outcome === 'done') ? EXIT.ok : EXIT.bad;
}

function usage(c: Context, complaint: string): number {
  c.complain(complaint);
  return EXIT.usage;
}

const count = (n: number): string => `${n} ${n === 1 ? 'host' : 'hosts'}`;

/** Reasons that a host's own status gives against asking it. */
function whyNot({ host, presence, at, commands }: FleetRow, asked: readonly string[]): HostOutcome | null {
  if (presence === 'offline') return unanswered(host, 'away');
  const off = at === null ? undefined : asked.find((command) => !commands.includes(command));
  if (off === undefined) return null;
  return unanswered(host, 'off', `it was not asked, since mqtt.commands of its agent.yaml does not list \`${off}\``);
}

function argsOf(command: CommandName, flags: FleetActFlags): Record<string, string | boolean> {
  const { reason, force, adopt, allowPrune, commit } = flags;
  const known = { reason, ...(command === 'sync' ? { force, adopt, allowPrune } : {}) };
  const more =
    command === 'pause' ? { for: flags.for } : command === 'rollback' || command === 'plan' ? { commit } : {};
  const given = Object.entries({ ...known, ...more }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as Record<string, string | boolean>;
}

const pace = ({ maxParallel, stopAfter, timeout }: FleetActFlags) => ({
  maxParallel,
  stopAfter: stopAfter ?? null,
  resultMs: durationMs(timeout),
});

const unknown = (hosts: readonly string[]) =>
  new AgentError({
    code: 'UnknownHost',
    phase: 'report',
    message: `the broker has nothing of ${hosts.join(', ')}: no host was asked; \`fairlead fleet status\` lists the hosts`,
  });

const gone = (why: string) =>
  new AgentError({
    code: 'BrokerUnreachable',
    phase: 'report',
    message: `the broker was lost: ${why}; hosts that got the command continue`,
  });
