/** The outcome of a command on one host, as the operator sees it. Pure. */
import type { Outcome } from '../../../manifests-schema/command-names.ts';
import { type AnyCommandResult, anyCommandResult } from '../../../manifests-schema/commands.ts';
import { tamed } from '../../tame.ts';

export interface HostOutcome {
  host: string;
  outcome: Outcome;
  /** A code, or empty. */
  reason: string;
  message: string;
  status: AnyCommandResult['status'];
  plan: AnyCommandResult['plan'];
  pause: AnyCommandResult['pause'];
  pin: string | null;
}

/** Parses an answer on `replies/<id>`; null if it does not answer `id`. */
export function readAnswer(payload: string, id: string): AnyCommandResult | null {
  try {
    const read = anyCommandResult.safeParse(JSON.parse(payload));
    // Anybody who may publish there can write this text, and it is shown on a terminal.
    return read.success && read.data.id === id ? tamed(read.data) : null;
  } catch {
    return null;
  }
}

export function outcomeOf({
  host,
  state,
  reason,
  message,
  status,
  plan,
  pause,
  pin,
  command,
}: AnyCommandResult): HostOutcome {
  const said = { host, reason, message, status, plan, pause, pin };
  if (state === 'failed' || state === 'refused') return { ...said, outcome: state };
  // A host that was rolled back is held on purpose.
  const fine = command === 'rollback' ? ['synced', 'held'] : ['synced'];
  const isWell = status === null || (fine.includes(status.sync) && status.health === 'healthy');
  return { ...said, outcome: isWell ? 'done' : 'unwell' };
}

const BARE = { status: null, plan: null, pause: null, pin: null };

const UNANSWERED: Partial<Record<Outcome, { reason: string; message: string }>> = {
  silent: {
    reason: 'NoAnswer',
    message: 'no answer: whether it follows the command is not known; `fairlead fleet status` shows how it is',
  },
  late: { reason: 'NoAnswer', message: 'it did not finish within --timeout, and continues' },
  open: { reason: 'NoAnswer', message: 'it was asked, and its answer was not waited for' },
  'not-asked': { reason: '', message: 'it was not asked' },
  stopped: { reason: '', message: 'it was not asked, since others had failed (--stop-after)' },
  away: { reason: '', message: 'it was not asked, since it is offline' },
};

/** @param why the message of the broker or of the host; default: the usual text of this outcome */
export const unanswered = (host: string, outcome: Outcome, why?: string): HostOutcome => ({
  host,
  outcome,
  ...(outcome === 'unheard'
    ? {
        reason: 'PublishRefused',
        message: `the broker does not take commands to it from this user (${why}); allow it there`,
      }
    : outcome === 'off'
      ? { reason: 'CommandOff', message: why ?? '' }
      : (UNANSWERED[outcome] ?? { reason: '', message: why ?? '' })),
  ...BARE,
});

/** This outcome counts towards the limit of failures. A host that was not asked has not failed. */
export const isFailure = ({ outcome }: HostOutcome): boolean =>
  ['unwell', 'failed', 'refused', 'silent', 'late', 'unheard'].includes(outcome);
