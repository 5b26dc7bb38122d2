/** The differences between a unit on the host and its declaration, and its health. Pure. */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { TRY_AGAIN } from '../../core/exit-codes.ts';
import type { Health } from '../../core/provider.ts';
import type { Change, Desired, Reason, Seen } from '../../core/types.ts';
import { enabledReason } from './enablement.ts';
import { dropinDir, fileOf, sha256, type UnitAnswer, type UnitOnDisk } from './files.ts';
import type { UnitSpec } from './spec.ts';

export interface UnitFact extends UnitOnDisk, UnitAnswer {
  name: string;
  /** loaded, not-found, masked, error, bad-setting … */
  load: string;
  /** active, inactive, activating, failed … */
  active: string;
  sub: string;
  /** Result of its last run, if it is not active, e.g. success, exit-code. */
  result: string;
  /** Exit status of a service's main process, or of the command that failed. */
  exitStatus: number;
  /** systemd.service(5) Type=; '' for other units, and while a part of it runs. */
  type: string;
  /** RemainAfterExit= */
  remains: boolean;
  /** Microseconds (CLOCK_REALTIME) of the last start of a service's main process since boot; 0 if never. */
  startedAt: number;
  /** Its last start was skipped, because one of its conditions did not hold: systemd.unit(5). `over`: all of them hold now. */
  skipped: false | 'still' | 'over';
  /** TimeoutStartSec= in ms of a unit that is starting, if it is finite; missing otherwise. */
  startTimeoutMs?: number;
  /** Last lines of its journal, if it failed. */
  log: string;
  /** Paths that fairlead created or replaced. */
  ours: readonly string[];
}

export const isUp = (fact: UnitFact): boolean =>
  ['active', 'activating', 'reloading', 'refreshing'].includes(fact.active);

export function diffUnit(want: Desired<UnitSpec>, seen: Seen<UnitFact> | undefined): Change {
  const { spec } = want;
  if (seen === undefined)
    return { op: 'create', why: [{ field: 'state', from: 'missing', to: spec.state ?? 'installed' }] };
  const { fact } = seen;
  const why = [...fileReasons(spec, fact), ...stateReasons(want, fact, seen.mark)];
  const interrupted = isInterrupted(want, seen);
  const hasFiles = spec.content !== undefined || spec.dropins !== undefined;
  if (why.length === 0 && interrupted && isUp(fact) && followsText(spec, fact).verb !== null)
    why.push({ field: 'restart', from: 'changed on disk, not restarted yet', to: 'restarted' });
  if (why.length === 0 && hasFiles && fact.needReload)
    why.push({ field: 'restart', from: 'changed on disk, not loaded yet', to: 'loaded' });
  if (why.length === 0 && hasFiles && interrupted)
    why.push({ field: LOADED, from: 'changed on disk, perhaps not loaded yet', to: 'loaded' });
  return why.length === 0 ? { op: 'none' } : { op: 'update', why };
}

/** A reason that only needs systemd to read its files again, and does not affect what runs or has run. */
export const LOADED = 'loaded';

/**
 * A run began to apply this declaration and was interrupted. Its files may be there although systemd has not read them, and
 * systemd may not report that: version 252 (Debian 12) overlooks a drop-in in a directory that it has not seen yet.
 */
export const isInterrupted = ({ hash }: Desired<UnitSpec>, seen: Seen<UnitFact> | undefined): boolean =>
  seen?.mark !== undefined && seen.mark.hash !== seen.mark.intent && seen.mark.intent === hash;

/** Paths that fairlead created and that are no longer declared. */
export function leftOver({ name, content, dropins, masked }: UnitSpec, ours: readonly string[]): string[] {
  const declared = new Set(Object.keys(dropins ?? {}).map((file) => `${dropinDir(name)}/${file}`));
  if (content !== undefined || masked === true) declared.add(fileOf(name));
  return ours.filter((path) => !declared.has(path));
}

function* fileReasons(spec: UnitSpec, fact: UnitFact): Generator<Reason> {
  const short = (hash: string | null | undefined) =>
    hash === null || hash === undefined ? 'none' : hash === '' ? 'a link' : `sha256 ${hash.slice(0, 12)}`;
  const compare = (field: string, is: string | null | undefined, text: string): Reason[] => {
    if (is === sha256(text)) return [];
    return spec.secret ? [{ field, to: '(secret changed)' }] : [{ field, from: short(is), to: short(sha256(text)) }];
  };
  if (spec.content !== undefined) yield* compare('content', fact.sha256, spec.content);
  for (const [file, text] of Object.entries(spec.dropins ?? {}))
    yield* compare(`dropins.${file}`, fact.dropins[file], text);
  for (const path of leftOver(spec, fact.ours))
    yield path === fileOf(spec.name)
      ? { field: 'content', from: short(fact.sha256), to: 'as it was before' }
      : { field: `dropins.${path.slice(path.lastIndexOf('/') + 1)}`, from: 'declared before', to: 'gone' };
  if (spec.masked === true && !fact.maskedHere) yield { field: 'masked', from: 'false', to: 'true' };
  if (spec.masked === false && fact.maskedHere) yield { field: 'masked', from: 'true', to: 'false' };
}

function* stateReasons(want: Desired<UnitSpec>, fact: UnitFact, mark: Seen['mark']): Generator<Reason> {
  const { spec, hash } = want;
  yield* enabledReason(want, fact, mark);
  // A oneshot that completed runs again after a change, not because the host has booted.
  const settled = isCompleted(fact) || ((fact.skipped === 'still' || isSpent(fact)) && mark?.hash === hash);
  const from = fact.skipped === 'over' ? 'not started: a condition did not hold' : `${fact.active} (${fact.sub})`;
  if (spec.state === 'started' && !isUp(fact) && !settled) yield { field: 'state', from, to: 'started' };
  if ((spec.state === 'stopped' || spec.masked === true) && fact.active !== 'inactive' && fact.active !== 'failed')
    yield { field: 'state', from: fact.active, to: 'stopped' };
}

/**
 * The action that a changed text requires for a unit that is up. Only a unit that runs, and is declared to run, is restarted. A
 * unit that is still starting is not stopped, and neither is a oneshot, running or done; a timer gets its new times from the
 * daemon-reload.
 * @returns why it is left alone, if that should be reported
 */
export function followsText(spec: UnitSpec, fact: UnitFact): { verb: 'restart' | 'reload' | null; because: string } {
  const { name, onChange, state, enabled } = spec;
  if (onChange === 'none' || name.endsWith('.timer')) return { verb: null, because: '' };
  if (!['active', 'reloading', 'refreshing'].includes(fact.active))
    return { verb: null, because: `it is ${fact.active} (${fact.sub}) and continues with its former file` };
  const isDeclared = state === 'started' || (state === undefined && (enabled ?? fact.file.startsWith('enabled')));
  if (!isDeclared)
    return { verb: null, because: 'nothing declares that it runs; `state: started` or `notify` has it restarted' };
  if (onChange === 'restart' && isRemaining(spec, fact) && !spec.restartsRemaining)
    return {
      verb: null,
      because: `a oneshot that ran is not stopped since its text changed; \`systemctl restart ${name}\`, a \`notify\` or \`on_change: restart\` at the unit runs it again`,
    };
  return { verb: onChange, because: '' };
}

/** A oneshot that completed and remains active (RemainAfterExit=): stopping it would undo what it set up. */
export const isRemaining = (
  { content }: Pick<UnitSpec, 'content'>,
  { active, sub, type }: Pick<UnitFact, 'active' | 'sub' | 'type'>,
): boolean =>
  active === 'active' && sub === 'exited' && type === 'oneshot' && (content === undefined || ONESHOT.test(content));

/** The setting as it is written in a unit file. */
export const ONESHOT = /^[ \t]*Type[ \t]*=[ \t]*oneshot/m;

const isSpent = ({ active, type, result, remains }: UnitFact): boolean =>
  active === 'inactive' && type === 'oneshot' && result === 'success' && !remains;
/** A oneshot service that completed since the host booted. */
const isCompleted = (fact: UnitFact): boolean => isSpent(fact) && fact.startedAt > 0;

/** The code for exit statuses with a fixed meaning: sysexits.h, and systemd.exec(5), "Process Exit Codes". */
export function codeOfExit(status: number): ReasonCode | null {
  if (status === TRY_AGAIN) return 'TemporaryFailure';
  return status === 216 || status === 217 ? 'UnknownOwner' : null;
}

export function healthOf({ spec, hash }: Desired<UnitSpec>, seen: Seen<UnitFact> | undefined): Health {
  const fact = seen?.fact;
  if (fact === undefined) return { state: 'bad', message: 'the unit does not exist' };
  if (fact.active === 'failed') {
    const status = fact.exitStatus ? `, exit status ${fact.exitStatus}` : '';
    const code = codeOfExit(fact.exitStatus);
    const message = `failed: ${fact.result}${status}${fact.log ? `; its journal: ${fact.log}` : ''}`;
    return { state: 'bad', message, ...(code === null ? {} : { code }) };
  }
  if (
    spec.state !== 'started' ||
    fact.skipped === 'still' ||
    isCompleted(fact) ||
    (isSpent(fact) && seen?.mark?.hash === hash)
  )
    return { state: 'ok', message: '' };
  if (fact.active === 'active') return { state: 'ok', message: '' };
  if (['activating', 'reloading', 'refreshing'].includes(fact.active))
    return { state: 'wait', message: `${fact.active} (${fact.sub})` };
  return { state: 'bad', message: `is ${fact.active} (${fact.sub})`, differs: true };
}
