/** Operations on one container of a service: create, start, stop, set aside, bring back. */
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { Work } from '../../core/provider.ts';
import type { Desired } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Clock } from '../../system/clock.ts';
import type { ContainerInfo, ContainerRequest, ContainerSummary, Docker } from '../../system/docker/docker.ts';
import { mountedIds } from '../docker/image-mounts.ts';
import type { Inspections } from '../docker/inspections.ts';
import { HASH, MOVED, PROJECT, SERVICE } from '../docker/labels.ts';
import { digests } from './diff.ts';
import { ANONYMOUS, FAILED, FRESH, type Memory, memberOf, nameOf, PARKED, type Replica, wasStarted } from './fact.ts';
import { replicaHealth } from './health.ts';
import { hooksOf, runPostStart, runPreStop } from './hooks.ts';
import { peersIn } from './listing.ts';
import { withPortOwner } from './port-owner.ts';
import { type RunOnce, runPreStart } from './pre-start.ts';
import { createRequest, endpoint } from './request.ts';

/** Warnings about the form of our requests, which is the form of `docker compose`: users could do nothing about them. */
const OURS = /container-wide MacAddress/;

/** The dependencies of a change to a service. */
export interface Tools {
  docker: Docker;
  clock: Clock;
  inspections: Inspections;
  /** Whether a process has its own address: a connection, or a socket bound to it. */
  holdsAddress(pid: number): Promise<boolean>;
  report?: Work['report'];
  /** Ends when the current change is cancelled. */
  signal?: AbortSignal;
  once?: RunOnce;
  memory: Memory;
}

/**
 * Creates a container and starts it. It has a temporary name until its hooks before and after the start have succeeded, so that
 * an interrupted run leaves no container that looks finished.
 * @param options.old the container whose anonymous volumes it takes over
 * @param options.beside it keeps the temporary name, and its networks do not know it by the service's names yet
 * @returns its id
 */
export async function create(
  tools: Tools,
  want: Desired<ServiceSpec>,
  number: number,
  { old, beside = false }: { old?: Replica; beside?: boolean } = {},
): Promise<string> {
  const { docker } = tools;
  const spec = memberOf(want.spec, number);
  const all = await docker.containers();
  refuseForeign(all, spec);
  const peers = peersIn(all, spec.project);
  const imageId = (await docker.image(spec.image))?.id ?? '';
  const imageVolumes = await mountedIds(docker, spec);
  const request = createRequest({ spec, hash: want.hash, imageId, imageVolumes, peers, fields: digests(spec, peers) });
  const isFinal = !beside && spec.preStart.length + spec.postStart.length === 0;
  const attach = (network: ServiceSpec['networks'][number]) => ({
    ...endpoint(spec, network, peers),
    ...(beside ? { Aliases: [] } : {}),
  });
  const [first, ...others] = spec.networks;
  let made: string | null = null;
  try {
    const create = {
      ...withAnonymousVolumes(request, spec, old?.info),
      name: isFinal ? spec.containerName : `${spec.containerName}${FRESH}`,
      ...(first ? { NetworkingConfig: { EndpointsConfig: { [first.name]: attach(first) } } } : {}),
    };
    made = await docker.create(create, (to) => {
      if (!OURS.test(to)) tools.report?.({ field: 'warning of the engine', to });
    });
    for (const network of others) await docker.connect(network.name, made, attach(network));
    await runPreStart(tools, { spec, hooks: spec.preStart, id: made, hash: want.hash });
    await docker.start(made);
    await runPostStart(tools, made, spec.postStart);
    if (!isFinal && !beside) await docker.rename(made, spec.containerName);
    return made;
  } catch (thrown) {
    if (made !== null) await docker.remove(made, { volumes: true });
    throw await withPortOwner(docker, spec, thrown);
  }
}

/**
 * Starts a container under the name of its service. Runs the hooks after the start (again), and the hooks before it if it was
 * never started.
 */
export async function start(tools: Tools, spec: ServiceSpec, info: ContainerInfo): Promise<void> {
  const { docker } = tools;
  const { preStart, postStart } = hooksOf(info, spec);
  const hooks = wasStarted(info) ? [] : preStart;
  const name = hooks.length + postStart.length > 0 ? `${spec.containerName}${FRESH}` : spec.containerName;
  if (nameOf(info) !== name) await docker.rename(info.Id, name);
  await runPreStart(tools, { spec, hooks, id: info.Id, hash: info.Config.Labels?.[HASH] ?? '' });
  await docker.start(info.Id).catch(async (thrown) => {
    throw await withPortOwner(docker, spec, thrown);
  });
  await runPostStart(tools, info.Id, postStart);
  if (name !== spec.containerName) await docker.rename(info.Id, spec.containerName);
}

/**
 * Stops a container with its own signal and grace period.
 * @param declared the hooks to run before, for a container that fairlead did not create
 */
export async function stop(tools: Tools, info: ContainerInfo, declared?: ServiceSpec): Promise<void> {
  await runPreStop(tools, info, declared, tools.report);
  await tools.docker.stop(info.Id, info.Config.StopTimeout ?? null);
}

/**
 * Stops a container and keeps it under another name. A container that never became well does not replace the one that is kept
 * already.
 * @returns the container that is kept
 */
export async function setAside(
  tools: Tools,
  spec: ServiceSpec,
  old: Replica,
  parked: Replica | undefined,
): Promise<Replica> {
  const { docker } = tools;
  await stop(tools, old.info, spec);
  if (parked && replicaHealth(spec, old).state !== 'ok') {
    await docker.remove(old.info.Id, { volumes: false });
    return parked;
  }
  if (parked) await docker.remove(parked.info.Id, { volumes: false });
  const name = `${spec.containerName}${PARKED}`;
  await docker.rename(old.info.Id, name);
  return { ...old, info: { ...old.info, Name: `/${name}` } };
}

/** Puts the container that was set aside back in place. @param kept the replaced container is kept under a name that says so */
export async function bringBack(
  tools: Tools,
  spec: ServiceSpec,
  parked: Replica,
  now: Replica | undefined,
  kept?: { failed: readonly Replica[] },
): Promise<void> {
  const { docker } = tools;
  if (now) {
    await stop(tools, now.info, spec);
    if (kept) {
      for (const { info } of kept.failed) await docker.remove(info.Id, { volumes: false });
      await docker.rename(now.info.Id, `${spec.containerName}${FAILED}`);
    } else await docker.remove(now.info.Id, { volumes: false });
  }
  await start(tools, spec, parked.info);
  tools.report?.({ field: 'container', to: `the one that ran before, ${parked.info.Id.slice(0, 12)}, is back` });
}

/** Throws if another owner has a container of this name. */
function refuseForeign(all: readonly ContainerSummary[], spec: ServiceSpec): void {
  const holder = all.find((c) => c.Names.includes(`/${spec.containerName}`));
  if (holder === undefined || (holder.Labels[PROJECT] === spec.project && holder.Labels[SERVICE] === spec.service))
    return;
  throw new AgentError({
    code: 'NameConflict',
    phase: 'apply',
    message: `container name ${spec.containerName} is taken by ${holder.Id.slice(0, 12)} (${holder.Image}), which is not fairlead's and is left alone; rename one of them`,
  });
}

/** Moves the anonymous volumes of the old container to the new one. */
function withAnonymousVolumes(
  request: ContainerRequest,
  spec: ServiceSpec,
  old: ContainerInfo | undefined,
): ContainerRequest {
  const named = new Set(spec.mounts.filter((m) => m.source !== '' || m.type === 'tmpfs').map((m) => m.target));
  const kept = (old?.Mounts ?? []).filter(
    (m) => m.Type === 'volume' && ANONYMOUS.test(m.Name ?? '') && !named.has(m.Destination),
  );
  if (kept.length === 0) return request;
  const targets = new Set(kept.map((m) => m.Destination));
  const mounts = ((request.HostConfig?.Mounts ?? []) as { Target?: string }[]).filter(
    (m) => !targets.has(m.Target ?? ''),
  );
  const moved = kept.map((m) => ({ Type: 'volume' as const, Source: m.Name ?? '', Target: m.Destination }));
  const Mounts = [...mounts, ...moved] as NonNullable<ContainerRequest['HostConfig']>['Mounts'];
  const names = kept.map((m) => m.Name).join(',');
  return { ...request, Labels: { ...request.Labels, [MOVED]: names }, HostConfig: { ...request.HostConfig, Mounts } };
}
