/** What people tell one host to do or to leave: pause, pin, and their end. Durable; the next run goes by it. */
import { durationMs } from '../config.ts';
import type { Pause, Pin } from '../core/target.ts';
import type { EngineDeps } from '../engine/types.ts';
import { AgentError } from '../errors.ts';
import type { HoldRequest, HoldVerb } from './protocol.ts';

/** @throws AgentError `NoSuchCommit`, `InvalidRequest` */
export function hold(deps: EngineDeps, verb: HoldVerb, request: HoldRequest): { pause: Pause | null; pin: Pin | null } {
  const { commits } = deps.store;
  const before = commits.get();
  if (verb === 'resume') {
    commits.set({ pause: null, pin: null });
    return { pause: before.pause, pin: before.pin };
  }
  if (verb === 'rollback') return { pause: null, pin: pinTo(deps, request.commit) };
  const now = deps.clock.now();
  const until = request.for === undefined ? null : new Date(now.getTime() + lengthOf(request.for)).toISOString();
  const pause: Pause = { until, reason: request.reason ?? '', at: now.toISOString() };
  commits.set({ pause });
  return { pause, pin: before.pin };
}

function lengthOf(text: string): number {
  if (/^\d{1,6}(ms|s|m|h|d)$/.test(text)) return durationMs(text);
  throw new AgentError({
    code: 'InvalidRequest',
    phase: 'plan',
    message: `\`${text}\` is not a duration such as 30m, 2h or 1d`,
  });
}

/**
 * Pins the host to an earlier commit: the one named (or begun) by `commit`, else the last good one that is not what runs.
 * @throws AgentError `NoSuchCommit`
 */
function pinTo({ store, clock }: EngineDeps, commit: string | undefined): Pin {
  const { lastGood, previousGood, accepted } = store.commits.get();
  const applied = store.facts.get('applied')?.commit ?? accepted;
  const target = commit === undefined ? (lastGood !== applied ? lastGood : previousGood) : fullId(store, commit);
  if (target === null || target === undefined)
    throw noSuchCommit(
      'there is no earlier good commit on this host to go back to; name one: `fairlead rollback COMMIT`',
    );
  const pin: Pin = { commit: target, at: clock.now().toISOString() };
  store.commits.set({ pin, pause: null });
  return pin;
}

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
