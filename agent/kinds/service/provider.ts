/** Services: one or more containers each, created from the declaration, never from an existing container. */

import type { ServiceSpec } from '../../compose/stack/model.ts';
import { eachWork } from '../../core/each.ts';
import { kindOf } from '../../core/id.ts';
import { isOutage } from '../../core/plan/target.ts';
import type { Health, Provider, Work } from '../../core/provider.ts';
import type { Desired, ResourceId, Seen } from '../../core/types.ts';
import { AgentError, asAgentError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { ContainerSummary, Docker } from '../../system/docker/docker.ts';
import { observeFailed } from '../../system/docker/errors.ts';
import type { Exposures } from '../../system/paths/exposed.ts';
import type { LookAtPlace } from '../../system/place.ts';
import { stop, type Tools } from '../container/container.ts';
import { createDiscards } from '../container/discards.ts';
import { memberOf, nameOf, observeService, PARKED, type ServiceFact } from '../container/fact.ts';
import { healthcheckBoundMs, healthOf } from '../container/health.ts';
import { hooksOf, runPostStart, runPreStop } from '../container/hooks.ts';
import { listingOf } from '../container/listing.ts';
import type { Peer } from '../container/request.ts';
import { stopSeconds } from '../container/request.ts';
import { refuseTooNew, serviceNeeds } from '../docker/engine-version.ts';
import type { Inspections } from '../docker/inspections.ts';
import { locate } from '../docker/labels.ts';
import type { Images } from '../image/images.ts';
import { movedImages } from '../image/moves.ts';
import { waitForDependencies } from './act/depends.ts';
import { removeServices } from './act/remove.ts';
import { takeBack } from './act/replace.ts';
import { rollOut } from './act/roll.ts';
import { demandWell } from './act/settle.ts';
import { refuseTaken, type TakenOptions } from './act/taken.ts';
import type { AdoptedDirectories } from './data/directories.ts';
import { leftBehind, memoOf } from './data/left-behind.ts';
import { yieldsTo } from './data/shared-places.ts';
import type { ServiceMemory } from './memory.ts';
import { createServiceDiff, hold } from './plan.ts';
import { describe } from './summary.ts';

export interface ServiceProviderOptions {
  docker: Docker;
  images: Images;
  clock: Clock;
  inspections: Inspections;
  /** Whether a process of the host has its own address: a connection, or a socket bound to it. */
  holdsAddress(pid: number): Promise<boolean>;
  memory: ServiceMemory;
  lookAt: LookAtPlace;
  /** See `replacedMounts`. */
  replacedMounts(pid: number): Promise<string[]>;
  directories: AdoptedDirectories;
  /** Finds the owners of names and ports; if left out, a conflict only shows as an error of Docker. */
  taken?: TakenOptions;
  /** Receives the host paths that containers can write; left out if nobody records it. */
  exposures?: Pick<Exposures, 'add'>;
}

/** Pause between two observations of a service that somebody else is changing. */
const CALM_MS = 500;

export function createServiceProvider(options: ServiceProviderOptions): Provider<ServiceSpec, ServiceFact> {
  const { docker, images, clock, inspections, memory } = options;
  const diff = createServiceDiff();
  const peers = new Map<string, ReadonlyMap<string, Peer>>();
  const toolsFor = (report: Work['report']): Tools => ({ ...options, ...(report ? { report } : {}) });
  const discardsOf = createDiscards(docker);
  const relist = async () => listingOf(await docker.containers());
  const look = async (want: Desired<ServiceSpec>) => {
    const all = await docker.containers();
    const moves = await movedImages(docker, all, [want]);
    const discards = await discardsOf([want.spec]);
    const { id, hash, spec } = want;
    const listing = listingOf(all);
    return observeService({ docker, clock, listing, relist, id, moves, discards, hash, spec, memory });
  };
  /** Waits, within a limit, until somebody else has finished changing the containers. */
  const whenCalm = async (want: Desired<ServiceSpec>, fact: ServiceFact | undefined, signal: AbortSignal) => {
    let now = fact;
    while (now?.underway && !signal.aborted) {
      await clock.sleep(CALM_MS, signal);
      now = await look(want);
    }
    return now;
  };
  /**
   * The containers of the plan, observed again if there are others by now: one was removed for a volume that was recreated, or
   * somebody began to replace one.
   */
  const asItIs = async (want: Desired<ServiceSpec>, seen: ServiceFact | undefined) => {
    if (seen === undefined) return undefined;
    const all = await docker.containers();
    const known = [...seen.replicas, ...seen.parked, ...seen.fresh, ...seen.failed, ...seen.strays];
    const now = new Set(all.map(({ Id }) => Id));
    const before = new Set(known.map(({ info }) => info.Id));
    const isSame = [...before].every((id) => now.has(id)) && membersIn(all, want).every(({ Id }) => before.has(Id));
    return isSame ? seen : look(want);
  };
  return {
    kind: 'service',
    claims,
    memo: memoOf,
    diff,
    health: (want, seen) => healthOf(want, seen?.fact),
    patienceMs: (_want, seen) => healthcheckBoundMs(seen?.fact),
    hold,
    directories: options.directories.look,
    adopt(work) {
      const failures = new Map<ResourceId, AgentError>();
      for (const { want } of work) {
        try {
          options.directories.keep(want.spec.project, want.spec.projectDir);
        } catch (thrown) {
          failures.set(want.id, asAgentError(thrown, { code: 'StateUnwritable', phase: 'apply', resource: want.id }));
        }
      }
      return failures;
    },
    doubts: (work, around) => leftBehind(work, around, { docker, lookAt: options.lookAt }),
    async observe(ids, _signal, wants, { failed } = {}) {
      const declared = ids.flatMap((id) => wants?.get(id) ?? []);
      // Recorded before Docker is asked, because files are also written while it is down.
      options.exposures?.add(declared.flatMap(({ spec }) => writableSources(spec)));
      const all = await docker.containers();
      const discards = await discardsOf(declared.map((want) => want.spec));
      const listing = listingOf(all, peers);
      const seen = new Map<ResourceId, Seen<ServiceFact>>();
      const failures = new Map<ResourceId, AgentError>();
      await Promise.all(
        ids.map(async (id) => {
          const want = wants?.get(id);
          const { hash, spec } = want ?? { hash: undefined, spec: undefined };
          const { replacedMounts, lookAt } = options;
          const more = { quiet: want?.quiet, replacedMounts, lookAt };
          const look = async () =>
            observeService({
              docker,
              clock,
              inspections,
              listing,
              relist,
              id,
              moves: want ? await movedImages(docker, listing.membersOf(...locate(id)), [want]) : new Map(),
              discards,
              hash,
              spec,
              memory,
              ...more,
            });
          const fact = await look().catch((thrown) => observeFailed(thrown, id));
          if (fact === undefined) return;
          if (fact instanceof AgentError) return void failures.set(id, fact);
          seen.set(id, { fact });
          if (want) memory.saw(want, fact, { isRight: diff(want, { fact }).op === 'none' });
        }),
      );
      // If the engine has become unreachable meanwhile, this throws: the failures are no matter of single containers.
      if (failures.size > 0) await docker.version();
      for (const [id, error] of failures) {
        if (failed === undefined) throw error;
        failed(id, error);
      }
      return seen;
    },
    renew: (wants, how) => images.renew(wants, how),
    async prepare(work, signal, tell) {
      const failures = new Map(await refuseTooNew(docker, work, serviceNeeds));
      if (options.taken)
        for (const [id, error] of await refuseTaken(docker, options.taken, work)) failures.set(id, error);
      const able = work.filter((w) => !failures.has(w.want.id));
      return new Map([...failures, ...(await images.ensure(able, { signal, tell }))]);
    },
    tidy: (kept, signal) => images.tidy(kept, signal),
    apply: (work, signal) =>
      eachWork(work, async ({ change, want, seen, report }) => {
        if (change.op === 'none') return;
        memory.takes(want.id, seen?.fact);
        await waitForDependencies({ docker, clock, memory }, want.spec, signal);
        const fact = await whenCalm(want, await asItIs(want, seen?.fact), signal);
        await rollOut(toolsFor(report), want, fact, signal);
      }),
    async conclude(settled) {
      const all = await docker.containers();
      const answers = new Map<ResourceId, Health>();
      if (!all.some((c) => c.Names.some((name) => name.endsWith(PARKED)))) return answers;
      for (const { want, health } of settled) {
        const fact = await look(want);
        if (health.state === 'ok')
          for (const { info } of fact?.parked ?? []) await docker.remove(info.Id, { volumes: false });
        else if (
          want.spec.update.onFailure === 'rollback' &&
          !isOutage(health.code ?? '') &&
          (await takeBack(toolsFor(undefined), want)) > 0
        )
          answers.set(want.id, { state: 'bad', message: `${health.message}; what ran before is back` });
      }
      return answers;
    },
    async refresh(want, signal, verb = 'restart', report, sources = []) {
      const tools = toolsFor(report);
      const fact = await look(want);
      // It may have lost something that it depends on: the container whose namespaces it shares, a network, or itself for a
      // volume that was recreated.
      const { op } = diff(want, fact && { fact });
      if (op !== 'none') await rollOut(tools, want, fact, signal);
      if (fact === undefined || op === 'replace') return;
      const running = fact.replicas.slice(0, want.spec.replicas);
      if (verb === 'reload') {
        // A recreated network or volume needs no more than was done already.
        const name = sources.some((id) => !['network', 'volume'].includes(kindOf(id))) ? want.spec.signal : undefined;
        if (name !== undefined) for (const { info } of running) await docker.signal(info.Id, name);
        return;
      }
      for (const [i, { info }] of running.entries()) {
        await runPreStop(tools, info, want.spec, report);
        await docker.restart(info.Id, want.spec.stopGrace === '' ? null : stopSeconds(want.spec));
        await runPostStart(tools, info.Id, hooksOf(info, want.spec).postStart);
        if (i < running.length - 1) await demandWell(tools, want, info.Id, signal);
      }
    },
    describe,
    yieldsTo,
    async release(_id, { fact }) {
      for (const replica of fact.replicas) {
        await stop(toolsFor(undefined), replica.info);
        for (const { info } of fact.parked.filter((r) => r.number === replica.number))
          await docker.remove(info.Id, { volumes: false });
        await docker.rename(replica.info.Id, `${nameOf(replica.info)}${PARKED}`);
      }
    },
    together: ['remove'],
    async remove(gone, _signal, report) {
      const failures = await removeServices(toolsFor, gone, report);
      for (const { id } of gone) if (!failures.has(id)) memory.forget(id);
      return failures;
    },
  };
}

const writableSources = ({ mounts }: ServiceSpec): string[] =>
  mounts.filter(({ type, readOnly }) => type === 'bind' && !readOnly).map(({ source }) => source);

const membersIn = (all: readonly ContainerSummary[], { id }: Desired<ServiceSpec>): readonly ContainerSummary[] =>
  listingOf(all).membersOf(...locate(id));

function claims(spec: ServiceSpec): string[] {
  const names = Array.from({ length: spec.replicas }, (_, i) => memberOf(spec, i + 1).containerName);
  const ports = spec.replicas === 0 ? [] : spec.ports.filter((p) => /^\d+$/.test(p.published) && p.published !== '0');
  return [
    ...[...new Set(names)].map((name) => `container:${name}`),
    ...ports.map((p) => `port:${p.protocol}/${p.hostIp && p.hostIp !== '0.0.0.0' ? `${p.hostIp}:` : ''}${p.published}`),
  ];
}
