/** The part of a host's status that may have to be sent to people. Pure. */
import type { Trouble } from '../../../manifests-schema/notify.ts';
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import { type Fault, reasonOf } from '../../../manifests-schema/reasons.ts';

/** A trouble as it is sent. Its texts come from others, and are bounded by `LIMITS`. */
export interface Brief {
  /** When the host said so, ISO 8601. */
  at: string;
  reason: string;
  message: string;
  turn: Fault;
  commit: string | null;
  subject: string;
  author: string;
  /** The first of them. */
  problems: readonly { id: string; reason: string; message: string }[];
  problemsTotal: number;
}

/**
 * `trouble` is null if the host is neither well nor unwell: it works, or is unknown. `key` is the same for all hosts and times that
 * one message can cover.
 */
export type Sight = { host: string } & (
  | { trouble: Trouble; key: string; brief: Brief }
  | { trouble: 'none' }
  | { trouble: null }
);

/** Maximum length of a text, and number of problems, in a message. */
const LIMITS = { text: 400, name: 120, problems: 5 };

/** Problems of the notifier itself are not sent, because they would use the broken connection. */
export const OWN_PROBLEM = 'notify';
/** Ids of problems that do not affect the resources of the host. */
const BESIDE: readonly string[] = [OWN_PROBLEM, 'broker', 'agent.yaml', 'watch', 'clock'];
/** Something keeps changing the resource. */
const STORM = 'Contended';

type Seen = Pick<
  StatusDocument,
  'host' | 'at' | 'sync' | 'health' | 'reason' | 'message' | 'gate' | 'desired' | 'problems' | 'problemsTotal'
>;

export function sightOf(status: Seen): Sight {
  const { host } = status;
  const trouble = troubleOf(status);
  if (trouble === null) return { host, trouble };
  if (trouble === 'none') return { host, trouble };
  const brief = briefOf(status, trouble);
  return { host, trouble, key: keyOf(trouble, brief, status.gate?.kind ?? ''), brief };
}

function troubleOf({ sync, health, gate, problems }: Seen): Trouble | 'none' | null {
  if (sync === 'failed' || sync === 'rolled-back') return sync;
  // Nobody has to act on a closed window, an observing host or a switch to another version.
  const isPlanned = gate?.kind === 'window' || gate?.kind === 'observe';
  if (sync === 'held' && gate?.kind === 'upgrade') return null;
  if (sync === 'held' && !isPlanned) return 'held';
  if (sync !== 'synced' && sync !== 'held') return null;
  if (health === 'degraded') return 'degraded';
  if (problems.some(({ reason }) => reason === STORM)) return 'drift-storm';
  return health === 'healthy' ? 'none' : null;
}

function briefOf(status: Seen, trouble: Trouble): Brief {
  const problems = status.problems.filter((problem) => isAbout(problem, trouble));
  const [first] = problems;
  // If the run itself has no message, the status begins with its first problem.
  const isBeside =
    problems.every((one) => one.reason !== status.reason) &&
    status.problems.some((one) => one.reason === status.reason);
  const reason = (isBeside || trouble === 'drift-storm' ? first?.reason : status.reason || first?.reason) ?? '';
  return {
    at: status.at,
    reason,
    message: isBeside || trouble === 'drift-storm' ? '' : cut(status.message, LIMITS.text),
    turn: turnOf(reason, problems),
    commit: status.desired?.commit ?? null,
    subject: cut(status.desired?.subject ?? '', LIMITS.name),
    author: cut(status.desired?.author ?? '', LIMITS.name),
    problems: problems.slice(0, LIMITS.problems).map(({ id, reason, message }) => ({
      ...{ id: cut(id, LIMITS.name), reason, message: cut(message, LIMITS.text) },
    })),
    problemsTotal:
      problems.length + (trouble === 'drift-storm' ? 0 : Math.max(0, status.problemsTotal - status.problems.length)),
  };
}

/** Problems besides the trouble, such as an unreachable broker, are not sent. */
function isAbout({ id, reason }: Seen['problems'][number], trouble: Trouble): boolean {
  if (trouble === 'drift-storm') return reason === STORM;
  // Only resources have a health, and their ids a kind.
  return trouble === 'degraded' ? id.includes(':') : !BESIDE.includes(id);
}

/** The worst problem: one that needs another commit, then one that needs somebody, then one that passes by itself. */
function turnOf(reason: string, problems: Seen['problems']): Fault {
  const turns = problems.map((problem) => problem.turn ?? reasonOf(problem.reason).fault);
  if (reason !== '') turns.push(reasonOf(reason).fault);
  return (['commit', 'host', 'wait'] as const).find((fault) => turns.includes(fault)) ?? 'host';
}

/** Hosts that fail because of one commit have one key, whatever fails on each; otherwise hosts with one reason have one key. */
function keyOf(trouble: Trouble, { turn, commit, reason, problems }: Brief, gate: string): string {
  if (trouble === 'rolled-back') return `${trouble} ${commit}`;
  if (trouble === 'degraded' || trouble === 'drift-storm') return `${trouble} ${reason} ${problems[0]?.id ?? ''}`;
  if (trouble === 'held')
    return gate === 'pause' || gate === 'pin' ? `${trouble} ${gate}` : `${trouble} ${reason} ${commit}`;
  return turn === 'commit' && commit !== null ? `${trouble} ${commit}` : `${trouble} ${reason}`;
}

const cut = (text: string, most: number): string =>
  text.length <= most ? text : `${text.slice(0, most - 1).toWellFormed()}…`;
