/** Waits for systemd jobs; the error of a failed job contains lines of the unit's journal. */
import { AgentError } from '../../errors.ts';
import type { Exec } from '../../system/exec.ts';
import type { JobVerb, Systemd, UnitRow } from '../../system/systemd/systemd.ts';
import { codeOfExit } from './diff.ts';
import { exitStatusOf } from './exit-status.ts';

interface JobOptions {
  systemd: Systemd;
  exec: Exec;
  /** Removes secrets from the output of programs. */
  redact?: ((text: string) => string) | undefined;
  /** Whether the repository declares a unit. */
  isDeclared?(name: string): boolean;
}

export type UnitJob = (verb: JobVerb, name: string, signal?: AbortSignal) => Promise<void>;

/** Jobs that succeeded if the unit is active afterwards. A failed reload leaves its unit active. */
const STARTS: readonly JobVerb[] = ['StartUnit', 'RestartUnit', 'TryRestartUnit'];
const LINES = 8;
const MAX_LINE = 300;
const JOURNAL_TIMEOUT_MS = 10_000;

/** @returns a function that runs a job to its end, or throws AgentError `UnitFailed`, `UnitNotFound`, `RequirementFailed`, `SystemdUnreachable` */
export function createUnitJobs({ systemd, exec, redact, isDeclared = () => false }: JobOptions): UnitJob {
  return async (verb, name, signal) => {
    // systemd refuses a unit more than a few starts in ten seconds; earlier starts must not count against ours.
    if (verb !== 'StopUnit') await systemd.resetFailed(name);
    const result = await systemd.job(verb, name, signal);
    // A unit that does not exist any more was stopped by somebody else.
    const gone = verb === 'StopUnit' && result === 'not-loaded';
    if (result === 'done' || result === 'skipped' || gone) return;
    if (result === 'not-loaded') throw notFound(name);
    const [row] = await systemd.list([name]);
    // The unit's own state decides: a unit that is up, or that systemd starts again (Restart=), did not fail to start. Settle
    // judges what follows.
    if (STARTS.includes(verb) && (row?.active === 'active' || row?.active === 'activating')) return;
    if (result === 'unknown') {
      if (verb === 'StopUnit' && (row?.active === 'inactive' || row?.active === 'failed')) return;
      // A start that left the unit failed did fail; otherwise nobody knows.
      if (!STARTS.includes(verb) || row?.active !== 'failed') throw unknownEnd(verb, name);
    }
    const lacks = row && (await whatItLacks(systemd, row, result, isDeclared));
    if (lacks)
      throw new AgentError({ code: 'RequirementFailed', phase: 'apply', resource: `unit:${name}`, message: lacks });
    const status = row?.path ? await exitStatusOf(systemd, row.path) : 0;
    const lines = row ? await journalOf({ systemd, exec, redact }, row) : '';
    throw new AgentError({
      code: codeOfExit(status) ?? 'UnitFailed',
      phase: 'apply',
      resource: `unit:${name}`,
      message: `${nounOf(verb)} of ${name} ended as ${result}${lines ? `; its journal: ${lines}` : ''}; see \`systemctl status ${name}\``,
    });
  };
}

const nounOf = (verb: JobVerb): string => verb.replace('Unit', '').toLowerCase();

/** The fault of the host's D-Bus, not of the commit. */
const unknownEnd = (verb: JobVerb, name: string): AgentError =>
  new AgentError({
    code: 'SystemdUnreachable',
    phase: 'apply',
    resource: `unit:${name}`,
    message: `cannot tell whether the ${nounOf(verb)} of ${name} succeeded: the connection to systemd was lost before its end; see \`systemctl status ${name}\``,
  });

/** systemd.unit(5): dependencies that must be active before a unit starts. */
const REQUIRING = ['Requires', 'Requisite', 'BindsTo'];

/** Why a unit could not even be started, if the repository declares nothing that could be at fault; null otherwise. */
async function whatItLacks(
  systemd: Systemd,
  { name, path }: UnitRow,
  result: string,
  isDeclared: (name: string) => boolean,
): Promise<string | null> {
  if (result === 'assert')
    return `${name} was not started: an assertion of it does not hold on this host; see \`systemctl cat ${name}\``;
  if (result !== 'dependency' || path === '') return null;
  const needed = await Promise.all(REQUIRING.map((key) => systemd.property<string[]>(path, 'Unit', key, [])));
  const rows = await systemd.list([...new Set(needed.flat())]);
  const down = rows.filter(({ active }) => active !== 'active').map((row) => row.name);
  const foreign = down.filter((other) => !isDeclared(other));
  if (foreign.length === 0 || foreign.length < down.length) return null;
  return `${name} was not started: it requires ${foreign.join(', ')}, which the repository does not declare and which could not be started; see \`systemctl status ${foreign[0]}\``;
}

/** The error for a unit that neither a manifest nor a package provides. */
export const notFound = (name: string): AgentError =>
  new AgentError({
    code: 'UnitNotFound',
    phase: 'apply',
    resource: `unit:${name}`,
    message: `this host has no unit ${name}; give its \`content\`, or install what brings it`,
  });

/** The last lines of a unit's journal; only those of its last run, if systemd knows when it began. */
export async function journalOf(
  { systemd, exec, redact = (text) => text }: JobOptions,
  { name, path }: UnitRow,
): Promise<string> {
  const startedUs = path === '' ? 0 : Number(await systemd.property(path, 'Unit', 'InactiveExitTimestamp', 0));
  // The journal has the unit's own name: ssh.service for sshd.service on Debian.
  const id = path === '' ? name : await systemd.property(path, 'Unit', 'Id', name);
  const since = startedUs > 0 ? [`--since=@${(startedUs / 1e6 - 0.1).toFixed(3)}`] : [];
  // The last output of a process may not have reached the journal yet.
  await exec(['journalctl', '--sync'], { timeoutMs: JOURNAL_TIMEOUT_MS });
  const { stdout } = await exec(['journalctl', '--no-pager', '-o', 'cat', '-n', String(LINES), '-u', id, ...since], {
    timeoutMs: JOURNAL_TIMEOUT_MS,
  });
  // Secrets are removed before a line is shortened, because a part of a secret cannot be recognised.
  const lines = redact(stdout).trim().split('\n').filter(Boolean);
  return lines.map((line) => line.slice(0, MAX_LINE)).join(' | ');
}
