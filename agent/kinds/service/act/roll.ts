/** Carries out the plan for the containers of a service. */
import type { ServiceSpec } from '../../../compose/stack/model.ts';
import type { Desired } from '../../../core/types.ts';
import { create, start, stop, type Tools } from '../../container/container.ts';
import { FRESH, memberOf, NO_CONTAINERS, nameOf, type ServiceFact, wasStarted } from '../../container/fact.ts';
import { updateLive } from '../../container/live.ts';
import { type RunOnce, removeLeftHooks } from '../../container/pre-start.ts';
import { type Roll, rollOf } from '../plan.ts';
import { removeMoved } from './remove.ts';
import { replaceAll } from './replace.ts';

export async function rollOut(
  given: Tools,
  want: Desired<ServiceSpec>,
  fact: ServiceFact = NO_CONTAINERS,
  signal: AbortSignal,
): Promise<void> {
  const { docker } = given;
  const { spec } = want;
  const roll = rollOf(want, fact);
  const tools = { ...given, signal, once: alreadyRun(spec, fact, roll) };
  if (spec.preStart.length + fact.leftHooks.length > 0) await removeLeftHooks(tools, spec.project, spec.service);
  for (const one of roll.leftovers) await docker.remove(one.info.Id, { volumes: fact.fresh.includes(one) });
  for (const { info } of [...roll.extra].reverse()) {
    await stop(tools, info, spec);
    await docker.remove(info.Id, { volumes: true });
    await removeMoved(docker, info);
  }
  for (const { info, number } of roll.back) await start(tools, memberOf(spec, number), info);
  for (const one of roll.live) await change(tools, want, one, fact);
  const made = [];
  for (const number of roll.missing) made.push({ number, id: await create(tools, want, number) });
  if (roll.replace.length === 0) return;
  const left = { ...fact, parked: fact.parked.filter((r) => !roll.leftovers.includes(r)) };
  await replaceAll(tools, want, left, { old: roll.replace.map((r) => r.replica), made }, signal);
}

/**
 * Hooks that run once per service ran before any of its containers started: an unchanged container that was started proves it.
 */
function alreadyRun(spec: ServiceSpec, { replicas }: ServiceFact, { replace, extra }: Roll): RunOnce {
  const anew = new Set([...replace.map((r) => r.replica), ...extra]);
  const stays = replicas.some((replica) => !anew.has(replica) && wasStarted(replica.info));
  return new Map(stays ? spec.preStart.map((_, i) => [i, Promise.resolve()] as const) : []);
}

async function change(
  tools: Tools,
  want: Desired<ServiceSpec>,
  { replica, why }: Roll['live'][number],
  { peers }: ServiceFact,
): Promise<void> {
  const { info, number } = replica;
  const spec = memberOf(want.spec, number);
  // The temporary name shows that the hooks after its start did not finish.
  const isUnfinished = nameOf(info).endsWith(FRESH);
  const settings = isUnfinished ? why.filter((r) => r.field !== 'container_name') : why;
  await updateLive(tools.docker, spec, info, settings, peers);
  if (!isUnfinished && !why.some((r) => r.field === 'state')) return;
  const renamed = !isUnfinished && why.some((r) => r.field === 'container_name');
  await start(tools, spec, renamed ? { ...info, Name: `/${spec.containerName}` } : info);
}
