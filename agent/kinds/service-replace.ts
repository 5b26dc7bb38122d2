/** A container made anew: the old one is stopped, set aside, and brought back where the new one does not start. */
import type { ContainerCreateOptions } from 'dockerode';
import type { ServiceSpec } from '../compose/model.ts';
import type { Desired } from '../core/types.ts';
import { AgentError } from '../errors.ts';
import type { ContainerInfo, Docker } from '../system/docker.ts';
import { PROJECT, SERVICE } from './labels.ts';
import { digests } from './service-diff.ts';
import { PARKED, peersOf, type ServiceFact } from './service-fact.ts';
import { createRequest, endpoint } from './service-request.ts';

export async function replace(docker: Docker, want: Desired<ServiceSpec>, old: ServiceFact | undefined): Promise<void> {
  const { spec } = want;
  const all = await docker.containers();
  await refuseForeign(docker, spec);
  const oldName = old?.info.Name.replace(/^\//, '') ?? '';
  const parkedName = `${spec.containerName}${PARKED}`;
  const peers = peersOf(all, spec.project);
  const imageId = (await docker.image(spec.image))?.id ?? '';
  const request = createRequest({ spec, hash: want.hash, imageId, peers, fields: digests(spec, peers) });
  if (old?.parked) await docker.remove(old.parked, false);
  if (old && !old.onlyParked) {
    await stop(docker, old.info);
    await docker.rename(old.info.Id, parkedName);
  }
  let made: string | null = null;
  try {
    made = await docker.create(withAnonymousVolumes(request, spec, old?.info));
    for (const network of spec.networks.slice(1))
      await docker.connect(network.name, made, endpoint(spec, network, peers));
    await docker.start(made);
  } catch (thrown) {
    if (made !== null) await docker.remove(made, true);
    if (old) {
      await docker.rename(old.info.Id, old.onlyParked ? spec.containerName : oldName);
      if (old.info.State.Running || old.onlyParked) await docker.start(old.info.Id);
    }
    throw await withOwner(docker, spec, thrown);
  }
  if (old) await docker.remove(old.info.Id, false);
}

/** By its own signal, with its own time to end. */
export const stop = (docker: Docker, info: ContainerInfo): Promise<void> =>
  docker.stop(info.Id, info.Config.StopTimeout ?? null);

/** A container of this name that is not this service's is somebody else's. */
async function refuseForeign(docker: Docker, spec: ServiceSpec): Promise<void> {
  const holder = (await docker.containers()).find((c) => c.Names.includes(`/${spec.containerName}`));
  if (holder === undefined || (holder.Labels[PROJECT] === spec.project && holder.Labels[SERVICE] === spec.service))
    return;
  throw new AgentError({
    code: 'NameConflict',
    phase: 'apply',
    retry: true,
    message: `container name ${spec.containerName} is taken by ${holder.Id.slice(0, 12)} (${holder.Image}), which is not fairlead's and is left alone; rename one of them`,
  });
}

/** Says which container has the port, where one has. */
async function withOwner(docker: Docker, spec: ServiceSpec, thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof AgentError) || thrown.code !== 'PortInUse') return thrown;
  const ports = new Set(spec.ports.map((p) => `${p.published}/${p.protocol}`));
  const holder = (await docker.containers()).find(
    (c) =>
      !(c.Labels[PROJECT] === spec.project && c.Labels[SERVICE] === spec.service) &&
      c.Ports.some((p) => ports.has(`${p.PublicPort}/${p.Type}`)),
  );
  const owner = holder
    ? `container ${holder.Names[0]?.replace(/^\//, '')} (${holder.Image}) has it`
    : 'a program of the host has it (see `ss -ltnup`)';
  return new AgentError({ code: 'PortInUse', phase: 'apply', retry: true, message: `${thrown.message}; ${owner}` });
}

/** What the old container kept in anonymous volumes moves along. */
function withAnonymousVolumes(
  request: ContainerCreateOptions,
  spec: ServiceSpec,
  old: ContainerInfo | undefined,
): ContainerCreateOptions {
  const named = new Set(spec.mounts.filter((m) => m.source !== '' || m.type === 'tmpfs').map((m) => m.target));
  const kept = (old?.Mounts ?? []).filter(
    (m) => m.Type === 'volume' && /^[0-9a-f]{64}$/.test(m.Name ?? '') && !named.has(m.Destination),
  );
  if (kept.length === 0) return request;
  const targets = new Set(kept.map((m) => m.Destination));
  const mounts = ((request.HostConfig?.Mounts ?? []) as { Target?: string }[]).filter(
    (m) => !targets.has(m.Target ?? ''),
  );
  const moved = kept.map((m) => ({ Type: 'volume' as const, Source: m.Name ?? '', Target: m.Destination }));
  const Mounts = [...mounts, ...moved] as NonNullable<ContainerCreateOptions['HostConfig']>['Mounts'];
  return { ...request, HostConfig: { ...request.HostConfig, Mounts } };
}
