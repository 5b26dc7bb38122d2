/** Jobs of systemd, awaited; one that fails says what the unit's journal says. */
import { AgentError } from '../../errors.ts';
import type { Exec } from '../../system/exec.ts';
import type { JobVerb, Systemd, UnitRow } from '../../system/systemd/systemd.ts';
import { codeOfExit } from './diff.ts';
import { exitStatusOf } from './exit-status.ts';

interface JobOptions {
  systemd: Systemd;
  exec: Exec;
  /** Takes secrets out of what a program printed. */
  redact?: ((text: string) => string) | undefined;
  /** Whether the repository declares a unit. */
  isDeclared?(name: string): boolean;
}

export type UnitJob = (verb: JobVerb, name: string, signal?: AbortSignal) => Promise<void>;

/** Jobs after which a unit that is active has done what was asked. A reload that fails leaves its unit active. */
const STARTS: readonly JobVerb[] = ['StartUnit', 'RestartUnit', 'TryRestartUnit'];
const LINES = 8;
const MAX_LINE = 300;
const JOURNAL_TIMEOUT_MS = 10_000;

/** @returns what runs a job to its end, or throws AgentError `UnitFailed`, `UnitNotFound`, `RequirementFailed` */
export function createUnitJobs({ systemd, exec, redact, isDeclared = () => false }: JobOptions): UnitJob {
  return async (verb, name, signal) => {
    // Six starts in ten seconds are refused; a start of ours must not be the victim of that count.
    if (verb !== 'StopUnit') await systemd.resetFailed(name);
    const result = await systemd.job(verb, name, signal);
    // What is not there any more has been stopped by somebody else.
    const gone = verb === 'StopUnit' && result === 'not-loaded';
    if (result === 'done' || result === 'skipped' || gone) return;
    if (result === 'not-loaded') throw notFound(name);
    const [row] = await systemd.list([name]);
    // The unit's own state has the last word: one that is up, or that systemd starts again (Restart=), did not fail to start.
    // Settle judges what it does next.
    if (STARTS.includes(verb) && (row?.active === 'active' || row?.active === 'activating')) return;
    const lacks = row && (await whatItLacks(systemd, row, result, isDeclared));
    if (lacks)
      throw new AgentError({ code: 'RequirementFailed', phase: 'apply', resource: `unit:${name}`, message: lacks });
    const status = row?.path ? await exitStatusOf(systemd, row.path) : 0;
    const lines = row ? await journalOf({ systemd, exec, redact }, row) : '';
    throw new AgentError({
      code: codeOfExit(status) ?? 'UnitFailed',
      phase: 'apply',
      resource: `unit:${name}`,
      message: `${verb.replace('Unit', '').toLowerCase()} of ${name} ended as ${result}${lines ? `; its journal: ${lines}` : ''}; see \`systemctl status ${name}\``,
    });
  };
}

/** systemd.unit(5): what must be active for a unit to be started. */
const REQUIRING = ['Requires', 'Requisite', 'BindsTo'];

/** Why a unit could not even be begun, where the repository brings nothing that could be at fault; null otherwise. */
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

/** Nobody brought it: neither a manifest, nor a package. */
export const notFound = (name: string): AgentError =>
  new AgentError({
    code: 'UnitNotFound',
    phase: 'apply',
    resource: `unit:${name}`,
    message: `this host has no unit ${name}; give its \`content\`, or install what brings it`,
  });

/** The last lines of a unit's journal, of its last run alone where systemd knows which that was. */
export async function journalOf(
  { systemd, exec, redact = (text) => text }: JobOptions,
  { name, path }: UnitRow,
): Promise<string> {
  const startedUs = path === '' ? 0 : Number(await systemd.property(path, 'Unit', 'InactiveExitTimestamp', 0));
  const since = startedUs > 0 ? [`--since=@${(startedUs / 1e6 - 0.1).toFixed(3)}`] : [];
  // The last words of a process may still be on their way.
  await exec(['journalctl', '--sync'], { timeoutMs: JOURNAL_TIMEOUT_MS });
  const { stdout } = await exec(['journalctl', '--no-pager', '-o', 'cat', '-n', String(LINES), '-u', name, ...since], {
    timeoutMs: JOURNAL_TIMEOUT_MS,
  });
  // Before a line is cut: nobody knows half a secret any more.
  const lines = redact(stdout).trim().split('\n').filter(Boolean);
  return lines.map((line) => line.slice(0, MAX_LINE)).join(' | ');
}
