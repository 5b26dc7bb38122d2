/** Pause, pin, and their end, as people ask for them on one host. Durable; the next run obeys them. */
import { durationMs } from '../../manifests-schema/duration.ts';
import { formatIssue } from '../../manifests-schema/issue.ts';
import type { ReasonCode } from '../../manifests-schema/reasons.ts';
import type { ResourcePause } from '../core/plan/resource-pause.ts';
import { type Asker, type Pause, type Pin, pauseNow } from '../core/plan/target.ts';
import type { Checkout, CommandOrigin, ResourceId } from '../core/types.ts';
import { createRun, requestFor } from '../engine/run/create-run.ts';
import { goTo } from '../engine/run/guards/door.ts';
import { converges } from '../engine/run/plan-for.ts';
import type { EngineDeps, Loaded } from '../engine/types.ts';
import { AgentError } from '../errors.ts';
import { processStart } from '../system/proc/process-start.ts';
import type { HoldRequest, HoldVerb } from './protocol.ts';

export interface HeldBy {
  by: Asker;
  command?: CommandOrigin;
}

/**
 * @param by who asks: what a pin may name depends on it. A command's reason is shown, and is no proof
 * @throws AgentError `NoSuchCommit`, `InvalidRequest`; the reason why a commit may not be applied, that it has errors
 *   (`InvalidCommit`), nothing for this host (`Unassigned`), or did not settle here; `CommitUnknown`,
 *   `RepositoryUnreachable` and others of the repository where it has to be asked
 */
export async function hold(
  deps: EngineDeps,
  verb: HoldVerb,
  request: HoldRequest,
  by: HeldBy = { by: 'person' },
): Promise<{ pause: Pause | null; pin: Pin | null }> {
  const { commits } = deps.store;
  const before = commits.get();
  if (request.ids !== undefined && request.ids.length > 0) {
    holdResources(deps, verb, request, before.resourcePauses ?? []);
    return { pause: before.pause, pin: before.pin };
  }
  if (verb === 'resume') {
    // Only a person on the host ends a hold of a single resource, such as a database during its backup.
    commits.set({ pause: null, pin: null, ...(by.by === 'broker' ? {} : { resourcePauses: null }) });
    return { pause: before.pause, pin: before.pin };
  }
  if (verb === 'rollback') return { pause: null, pin: await pinTo(deps, request, by) };
  const now = deps.clock.now();
  const until = request.for === undefined ? null : new Date(now.getTime() + lengthOf(request.for)).toISOString();
  const reason = [request.reason, by.command ? `[command ${by.command.id}]` : ''].filter(Boolean).join(' ');
  const pause: Pause = { until, reason, at: now.toISOString() };
  const standing = pauseNow(before.pause, now);
  if (by.by === 'broker' && standing !== null && outlasts(standing, pause)) return { pause: standing, pin: before.pin };
  commits.set({ pause });
  return { pause, pin: before.pin };
}

/** A remote command must not shorten a longer hold that a person set. */
const outlasts = (one: Pause, other: Pause): boolean =>
  one.until === null || (other.until !== null && Date.parse(one.until) > Date.parse(other.until));

/** Holds these as they are, or lets go of them. A pause of the same resource takes the place of the former one. */
function holdResources(
  { store, clock }: EngineDeps,
  verb: HoldVerb,
  { ids = [], for: length, reason = '', holder: pid }: HoldRequest,
  before: readonly ResourcePause[],
): void {
  const others = before.filter((pause) => !ids.includes(pause.id));
  if (verb !== 'pause') {
    store.commits.set({ resourcePauses: others.length > 0 ? others : null });
    return;
  }
  const start = pid === undefined ? null : processStart(pid);
  if (pid !== undefined && start === null) throw refused('InvalidRequest', `no process has the number ${pid}`);
  const now = clock.now();
  const until = length === undefined ? null : new Date(now.getTime() + lengthOf(length)).toISOString();
  const holder = pid === undefined || start === null ? {} : { holder: { pid, start } };
  const added = ids.map(
    (id): ResourcePause => ({ id: id as ResourceId, until, reason, at: now.toISOString(), ...holder }),
  );
  store.commits.set({ resourcePauses: [...others, ...added] });
}

function lengthOf(text: string): number {
  if (/^\d{1,6}(ms|s|m|h|d)$/.test(text)) return durationMs(text);
  throw new AgentError({
    code: 'InvalidRequest',
    phase: 'plan',
    message: `\`${text}\` is not a duration such as 30m, 2h or 1d`,
  });
}

/** Time that the repository has to answer. */
const REVIEW_MS = 60_000;

/**
 * Pins the host to an earlier commit: the one that `commit` names or begins, else the last good one that is not running now.
 * A commit that may not be applied is refused here, before anything is recorded.
 */
async function pinTo(deps: EngineDeps, { commit, force = false }: HoldRequest, { by, command }: HeldBy): Promise<Pin> {
  const { store, clock } = deps;
  const { lastGood, previousGood, accepted } = store.commits.get();
  const applied = store.facts.get('applied')?.commit ?? accepted;
  const target = commit === undefined ? (lastGood !== applied ? lastGood : previousGood) : fullId(store, commit);
  if (target === null || target === undefined)
    throw noSuchCommit(
      'there is no earlier good commit on this host to go back to; name one: `fairlead rollback COMMIT`',
    );
  const run = createRun(deps, requestFor(AbortSignal.timeout(REVIEW_MS)));
  const { checkout, hold } = await goTo(run, target, by);
  if (hold !== null) throw refused(hold.reason, hold.message);
  const unfit = whyUnfit(deps, checkout, await deps.load(checkout), { force });
  if (unfit !== null) throw refused(unfit.reason, unfit.message);
  const pin: Pin = {
    commit: target,
    at: clock.now().toISOString(),
    ...(by === 'person' ? {} : { by }),
    ...(command ? { command } : {}),
  };
  // A person who names a commit wants it now; a command leaves the pause that somebody set.
  store.commits.set(by === 'broker' ? { pin } : { pin, pause: null });
  return pin;
}

const refused = (code: ReasonCode, message: string) =>
  new AgentError({ code, phase: 'fetch', message: `${message} [${code}]` });

/** Why a host that goes to this commit would be no better off; null if nothing speaks against it. */
function whyUnfit(
  { store }: EngineDeps,
  checkout: Checkout,
  loaded: Loaded,
  { force }: { force: boolean },
): { reason: ReasonCode; message: string } | null {
  const short = checkout.info.commit.slice(0, 7);
  const [first, ...others] = loaded.issues.filter((issue) => issue.severity === 'error');
  if (first !== undefined) {
    const more = others.length === 0 ? '' : ` (and ${count(others.length, 'more error')})`;
    return {
      reason: 'InvalidCommit',
      message: `commit ${short} has errors and cannot be applied: ${formatIssue(first)}${more}; name another one`,
    };
  }
  if (!converges(checkout, loaded))
    return {
      reason: 'Unassigned',
      message: `commit ${short} has nothing for this host in ${checkout.hostPath}; name another one`,
    };
  const bad = store.commits.bad(loaded.content());
  if (bad === null || force) return null;
  return {
    reason: bad.culprit.reason,
    message: `commit ${short} did not settle on this host (${bad.culprit.id}: ${bad.culprit.message}); name another one, or go there all the same with \`fairlead rollback ${short} --force\``,
  };
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** Abbreviated ids are those of commits that this host had; a full one is taken at its word. @throws AgentError `NoSuchCommit` */
export function fullId(store: EngineDeps['store'], commit: string): string {
  if (/^[0-9a-f]{40}$/.test(commit)) return commit;
  const known = new Set([
    ...store.commits.needed(),
    ...store.runs.list({ commit, limit: 1_000 }).map((r) => r.commit?.commit ?? ''),
  ]);
  const found = [...known].filter((id) => id.startsWith(commit));
  if (/^[0-9a-f]{4,39}$/.test(commit) && found.length === 1 && found[0]) return found[0];
  throw noSuchCommit(
    found.length > 1
      ? `${commit} begins the ids of ${found.length} commits; give more letters of it`
      : `this host knows no commit ${commit}; \`fairlead history\` lists those it had, or give all 40 letters of its id`,
  );
}

const noSuchCommit = (message: string) => new AgentError({ code: 'NoSuchCommit', phase: 'plan', message });
