/** Recreates containers, one group after another, and handles the containers that they replace. */

import { millisecondsOf } from '../../../compose/spec/units.ts';
import type { ServiceSpec } from '../../../compose/stack/model.ts';
import { isOutage } from '../../../core/plan/target.ts';
import type { Desired } from '../../../core/types.ts';
import { AgentError } from '../../../errors.ts';
import { bringBack, create, setAside, start, type Tools } from '../../container/container.ts';
import { memberOf, nameOf, observeService, type Replica, type ServiceFact } from '../../container/fact.ts';
import { tolerated } from '../../container/health.ts';
import { listingOf } from '../../container/listing.ts';
import { startsFirst } from '../order.ts';
import { isRight } from '../plan.ts';
import { replaceBeside } from './beside.ts';
import { demandWell } from './settle.ts';

/** A container that must be well before the next group starts. */
interface Made {
  number: number;
  id: string;
}

/**
 * Replaces group by group, according to `update_config`. It does not wait for the last group: the run's settle stage judges
 * it, and the old containers are kept until then.
 * @param made containers that were missing, for which it waits first
 */
export async function replaceAll(
  tools: Tools,
  want: Desired<ServiceSpec>,
  fact: ServiceFact,
  { old, made }: { old: readonly Replica[]; made: readonly Made[] },
  signal: AbortSignal,
): Promise<void> {
  const { update, replicas } = want.spec;
  const size = update.parallelism === 0 ? old.length : update.parallelism;
  const failures: AgentError[] = [];
  const note = async (error: AgentError, number: number) => {
    failures.push(error);
    if (tolerated(want.spec, failures.length) || update.onFailure === 'continue') return;
    if (update.onFailure === 'rollback') await takeBack(tools, want);
    else if (update.onFailure === '') await takeBack(tools, want, number);
    throw error;
  };
  const settle = async (group: readonly Made[]) => {
    for (const { number, id } of group)
      await demandWell(tools, want, id, signal).catch((thrown: unknown) => note(asUnwell(thrown), number));
  };
  if (replicas > 1) await settle(made);
  for (let at = 0; at < old.length; at += size) {
    if (at > 0) await tools.clock.sleep(millisecondsOf(update.delay), signal);
    const group = old.slice(at, at + size);
    const results = await Promise.allSettled(group.map((one) => replaceOne(tools, want, one, fact, signal)));
    const done: Made[] = [];
    for (const [i, result] of results.entries()) {
      const number = group[i]?.number ?? 0;
      if (result.status === 'fulfilled') done.push({ number, id: result.value });
      else if (old.length === 1) throw result.reason;
      else await note(asUnwell(result.reason), number);
    }
    if (at + size < old.length) await settle(done);
  }
  const [first] = failures;
  if (first === undefined) return;
  if (!tolerated(want.spec, failures.length)) throw first;
  for (const { message } of failures) tools.report?.({ field: 'max_failure_ratio', to: `tolerated: ${message}` });
}

/** An outage, a stop and the like end the change at once: they prove nothing about it, and the next run continues it. */
function asUnwell(thrown: unknown): AgentError {
  if (thrown instanceof AgentError && !isOutage(thrown.code)) return thrown;
  throw thrown;
}

/** Recreates one container. Its predecessor is kept until the new one has proved itself. @returns the new one's id */
async function replaceOne(
  tools: Tools,
  want: Desired<ServiceSpec>,
  old: Replica,
  fact: ServiceFact,
  signal: AbortSignal,
): Promise<string> {
  const { docker } = tools;
  const spec = memberOf(want.spec, old.number);
  const isParked = fact.parked.includes(old);
  const parked = fact.parked.find((r) => r.number === old.number && r !== old);
  const fresh = fact.fresh.find((r) => r.number === old.number);
  if (parked && isRight(want, parked, fact)) {
    await bringBack(tools, spec, parked, old);
    return parked.info.Id;
  }
  if (old.info.State.Status === 'dead') {
    // The cause that blocked its removal may be gone now; if not, Docker reports it.
    await docker.remove(old.info.Id, { volumes: false });
    return create(tools, want, old.number, { old });
  }
  if (startsFirst(spec, old)) return replaceBeside(tools, want, { old, parked, fresh }, signal);
  if (fresh) await docker.remove(fresh.info.Id, { volumes: true });
  const aside = isParked ? old : await setAside(tools, spec, old, parked);
  try {
    return await create(tools, want, old.number, { old });
  } catch (thrown) {
    const isOld = !isParked && aside.info.Id === old.info.Id;
    const name = isOld ? nameOf(old.info) : spec.containerName;
    if (isOld && !old.info.State.Running) await docker.rename(old.info.Id, name);
    else
      await start(tools, { ...spec, containerName: name }, aside.info).catch((again: unknown) => {
        // The first failure is the reason for the second.
        const to = `the one that ran before cannot be started again: ${again instanceof Error ? again.message : again}`;
        tools.report?.({ field: 'container', to });
      });
    throw thrown;
  }
}

/**
 * Puts containers that were set aside back in place, all of them or those of one number. With `failure_action: rollback` the
 * new containers are kept, stopped, so that the change is not tried again until the declaration changes.
 * @returns how many were put back
 */
export async function takeBack(tools: Tools, want: Desired<ServiceSpec>, number?: number): Promise<number> {
  const { docker, clock, memory } = tools;
  const relist = async () => listingOf(await docker.containers());
  const fact = await observeService({
    docker,
    clock,
    listing: await relist(),
    relist,
    id: want.id,
    moves: new Map(),
    hash: want.hash,
    spec: want.spec,
    memory,
  });
  const back = (fact?.parked ?? []).filter((r) => number === undefined || r.number === number);
  for (const parked of back) {
    const now = fact?.replicas.find((r) => r.number === parked.number);
    const failed = (fact?.failed ?? []).filter((r) => r.number === parked.number);
    const kept = want.spec.update.onFailure === 'rollback' ? { failed } : undefined;
    await bringBack(tools, memberOf(want.spec, parked.number), parked, now, kept);
  }
  return back.length;
}
