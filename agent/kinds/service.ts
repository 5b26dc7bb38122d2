/** Services: one container each, made from the declaration, never from what is there. */
import type { ServiceSpec } from '../compose/model.ts';
import type { Provider, Work } from '../core/provider.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../core/types.ts';
import type { Clock } from '../system/clock.ts';
import type { Docker } from '../system/docker.ts';
import { movedImages } from './image-moves.ts';
import type { Images } from './images.ts';
import { HASH } from './labels.ts';
import { waitForDependencies } from './service-depends.ts';
import { differences } from './service-diff.ts';
import { healthOf, isCompleted, observeService, PARKED, type ServiceFact, stateOf } from './service-fact.ts';
import { isChangeable, isLive, nameDifference, networkDifferences, updateLive } from './service-live.ts';
import { replace, stop } from './service-replace.ts';
import { summary } from './service-summary.ts';

export interface ServiceProviderOptions {
  docker: Docker;
  images: Images;
  clock: Clock;
}

export function createServiceProvider({
  docker,
  images,
  clock,
}: ServiceProviderOptions): Provider<ServiceSpec, ServiceFact> {
  return {
    kind: 'service',
    claims: (spec) => [
      `container:${spec.containerName}`,
      ...spec.ports
        .filter((p) => /^\d+$/.test(p.published) && p.published !== '0')
        .map((p) => `port:${p.protocol}/${p.hostIp && p.hostIp !== '0.0.0.0' ? `${p.hostIp}:` : ''}${p.published}`),
    ],
    mounts: (spec) => spec.mounts.filter((m) => m.type === 'bind').map((m) => m.source),
    diff,
    health: ({ spec }, seen) => healthOf(spec, seen?.fact),
    hold,
    async observe(ids, _signal, wants) {
      const all = await docker.containers();
      const declared = ids.flatMap((id) => wants?.get(id) ?? []);
      const moves = await movedImages(docker, all, declared);
      const seen = new Map<ResourceId, Seen<ServiceFact>>();
      await Promise.all(
        ids.map(async (id) => {
          const fact = await observeService({ docker, clock, all, id, moves, hash: wants?.get(id)?.hash });
          if (fact) seen.set(id, { fact });
        }),
      );
      return seen;
    },
    renew: (wants, asked, signal, tell) => images.renew(wants, asked, { signal, tell }),
    prepare: (work, signal, tell) => images.ensure(work, { signal, tell }),
    tidy: (kept, signal) => images.tidy(kept, signal),
    async apply({ change, want, seen }: Work<ServiceSpec, ServiceFact>, signal) {
      if (change.op === 'none') return;
      await waitForDependencies({ docker, clock }, want.spec, signal);
      await carryOut(docker, change, want, seen?.fact);
    },
    async refresh(want) {
      const all = await docker.containers();
      const moves = await movedImages(docker, all, [want]);
      const fact = await observeService({ docker, clock, all, id: want.id, moves, hash: want.hash });
      if (fact === undefined) return;
      // It may have lost what it depends on: the container whose namespaces it shares, a network.
      const change = diff(want, { fact });
      if (change.op === 'replace') await carryOut(docker, change, want, fact);
      else {
        await carryOut(docker, change, want, fact);
        await docker.restart(fact.info.Id, want.spec.stopGrace);
      }
    },
    describe: ({ info, log }) => ({ ...summary(info), ...(log ? { log } : {}) }),
    async release(_id, { fact }) {
      if (fact.onlyParked) return;
      await stop(docker, fact.info);
      await docker.rename(fact.info.Id, `${fact.info.Name.replace(/^\//, '')}${PARKED}`);
    },
    async remove(_id, { fact }) {
      for (const container of [fact.info.Id, fact.parked]) {
        if (container === null) continue;
        await docker.stop(container, fact.info.Config.StopTimeout ?? null);
        await docker.remove(container, true);
      }
    },
  };
}

async function carryOut(
  docker: Docker,
  change: Change,
  want: Desired<ServiceSpec>,
  fact: ServiceFact | undefined,
): Promise<void> {
  if (change.op === 'none') return;
  if (change.op !== 'update' || fact === undefined) return replace(docker, want, fact);
  await updateLive(docker, want.spec, fact.info, change.why, fact.peers);
  if (change.why.some((r) => r.field === 'state')) await docker.start(fact.info.Id);
  if (fact.parked) await docker.remove(fact.parked, false);
}

/** Pure. */
function diff(want: Desired<ServiceSpec>, seen: Seen<ServiceFact> | undefined): Change {
  if (seen === undefined) return { op: 'create', why: [{ field: 'container', from: 'missing', to: 'running' }] };
  const { info, onlyParked, parked } = seen.fact;
  if (onlyParked)
    return {
      op: 'replace',
      why: [{ field: 'container', from: 'set aside by an interrupted replacement', to: 'running' }],
    };
  const { spec } = want;
  const { image, peers } = seen.fact;
  const all: Reason[] = [
    ...nameDifference(spec, info),
    ...networkDifferences(spec, info),
    ...differences(spec, info, image, peers),
  ];
  // What was made from this very declaration differs only where somebody changed it since.
  const own = info.Config.Labels?.[HASH] === want.hash;
  const why = all.filter((reason) => !own || isChangeable(reason) || FOLLOWS.includes(reason.field));
  for (const move of seen.fact.moves.get(info.Id) ?? []) if (!why.some((r) => r.field === move.field)) why.push(move);
  if (why.some((reason) => !isLive(reason))) return { op: 'replace', why };
  if (!info.State.Running && !info.State.Restarting && !isCompleted(want.spec, info)) {
    why.push({ field: 'state', from: stateOf(info), to: 'running' });
  }
  if (parked !== null) why.push({ field: 'container', from: 'an old one was left behind', to: 'removed' });
  return why.length > 0 ? { op: 'update', why } : { op: 'none' };
}

/** Of these a container may be left behind by another one's replacement. */
const FOLLOWS = ['network_mode', 'pid', 'ipc'];

/** Somebody else started it, and it differs: a person decides (product contract, Adoption). */
function hold({ spec, id }: Desired<ServiceSpec>, seen: Seen<ServiceFact> | undefined, change: Change): string | null {
  if (seen === undefined || seen.mark !== undefined || change.op === 'none' || spec.adopt === 'recreate') return null;
  if (seen.fact.info.Config.Labels?.[HASH] !== undefined || change.why.every((r) => r.field === 'state')) return null;
  const name = seen.fact.info.Name.replace(/^\//, '');
  return `${name} was not started by fairlead and differs from ${id} in ${[...new Set(change.why.map((r) => r.field))].join(', ')}; set x-fairlead.adopt: recreate, or run \`fairlead sync --adopt\``;
}
