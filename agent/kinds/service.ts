/** Services: one container each, made from the declaration, never from what is there. */
import type { ServiceSpec } from '../compose/model.ts';
import type { Health, Provider, Work } from '../core/provider.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../core/types.ts';
import { AgentError, asAgentError } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { ContainerInfo, ContainerSummary, Docker } from '../system/docker.ts';
import { HASH, locate, ONEOFF, PROJECT, SERVICE } from './labels.ts';
import { waitForDependencies } from './service-depends.ts';
import { liveDifferences, nameDifference } from './service-live.ts';
import { aliasesOf, createRequest, differences, missingNetworks } from './service-request.ts';
import { summary } from './service-summary.ts';

export interface ServiceFact {
  info: ContainerInfo;
  /** Milliseconds since its last start; 0 while it does not run. */
  runningMs: number;
  /** Last lines of its output, where it is not well. */
  log: string;
  /** A container set aside by a replacement that was cut off. */
  parked: string | null;
  /** Only the parked container is there. */
  onlyParked: boolean;
}

export interface ServiceProviderOptions {
  docker: Docker;
  clock: Clock;
}

const PARKED = '-fairlead-old';
/** Without a healthcheck a container is well when it has run for so long (product contract, Settle). */
const STEADY_MS = 10_000;
const PULLS = 3;

export function createServiceProvider({ docker, clock }: ServiceProviderOptions): Provider<ServiceSpec, ServiceFact> {
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
    health,
    async observe(ids) {
      const all = await docker.containers();
      const seen = new Map<ResourceId, Seen<ServiceFact>>();
      await Promise.all(
        ids.map(async (id) => {
          const fact = await observeOne(docker, clock, all, id);
          if (fact) seen.set(id, { fact });
        }),
      );
      return seen;
    },
    async prepare(work) {
      const failures = new Map<ResourceId, AgentError>();
      const images = Map.groupBy(
        work.filter((w) => w.change.op === 'create' || w.change.op === 'replace'),
        (w) => w.want.spec.image,
      );
      const queue = [...images];
      const worker = async () => {
        for (let next = queue.shift(); next; next = queue.shift()) {
          const [image, users] = next;
          try {
            await ensureImage(docker, image, users[0]?.want.spec.pullPolicy ?? 'missing');
          } catch (thrown) {
            const { message } = asAgentError(thrown, { code: 'ImagePullFailed', phase: 'prepare' });
            const error = new AgentError({
              code: 'ImagePullFailed',
              phase: 'prepare',
              retry: true,
              message: `${message}; what runs is left alone, and it will be tried again`,
            });
            for (const { want } of users) failures.set(want.id, error);
          }
        }
      };
      await Promise.all(Array.from({ length: PULLS }, worker));
      return failures;
    },
    async apply({ change, want, seen }: Work<ServiceSpec, ServiceFact>, signal) {
      if (change.op === 'none') return;
      await waitForDependencies({ docker, clock }, want.spec, signal);
      const renamed = change.why.some((r) => r.field === 'container_name');
      if (change.op === 'update' && renamed && seen) await docker.rename(seen.fact.info.Id, want.spec.containerName);
      if (change.op === 'update' && seen) await docker.start(seen.fact.info.Id);
      else await replace(docker, want, seen);
      if (change.op === 'update' && seen?.fact.parked) await docker.remove(seen.fact.parked, false);
    },
    async refresh(want) {
      const fact = await observeOne(docker, clock, await docker.containers(), want.id);
      if (fact) await docker.restart(fact.info.Id, want.spec.stopGrace);
    },
    describe: ({ info, log }) => ({ ...summary(info), ...(log ? { log } : {}) }),
    async release(_id, { fact }) {
      if (fact.onlyParked) return;
      await docker.stop(fact.info.Id, null);
      await docker.rename(fact.info.Id, `${fact.info.Name.replace(/^\//, '')}${PARKED}`);
    },
    async remove(_id, { fact }) {
      for (const container of [fact.info.Id, fact.parked]) {
        if (container === null) continue;
        await docker.stop(container, null);
        await docker.remove(container, true);
      }
    },
  };
}

async function observeOne(
  docker: Docker,
  clock: Clock,
  all: readonly ContainerSummary[],
  id: ResourceId,
): Promise<ServiceFact | undefined> {
  const [project, service] = locate(id);
  const ours = all.filter(
    (c) => c.Labels[PROJECT] === project && c.Labels[SERVICE] === service && c.Labels[ONEOFF] !== 'True',
  );
  const isParked = (c: ContainerSummary) => c.Names.some((n) => n.endsWith(PARKED));
  const parked = ours.find(isParked);
  const main = ours.find((c) => !isParked(c)) ?? parked;
  const info = main && (await docker.inspect(main.Id));
  if (info === undefined) return undefined;
  const runningMs = info.State.Running ? Math.max(0, clock.now().getTime() - Date.parse(info.State.StartedAt)) : 0;
  const unwell =
    info.State.Restarting ||
    (!info.State.Running && info.State.ExitCode !== 0) ||
    info.State.Health?.Status === 'unhealthy';
  const log = unwell ? await docker.logTail(info.Id) : '';
  const onlyParked = main === parked;
  return { info, runningMs, log, parked: onlyParked ? null : (parked?.Id ?? null), onlyParked };
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
  const why: Reason[] = missingNetworks(want.spec, info).map((name) => ({
    field: 'networks',
    from: 'not connected',
    to: name,
  }));
  const label = info.Config.Labels?.[HASH];
  const known = label ?? seen.mark?.hash ?? null;
  why.push(...(label === want.hash ? liveDifferences(want.spec, info) : differences(want.spec, info)));
  // Our own container of another declaration: something went that a container cannot show, such as a variable.
  if (why.length === 0 && known !== null && known !== want.hash)
    why.push({ field: 'declaration', from: 'an earlier one', to: 'this one' });
  if (why.length > 0) return { op: 'replace', why };
  const renamed = label === want.hash ? nameDifference(want.spec, info) : null;
  if (renamed) return { op: 'update', why: [renamed] };
  if (!info.State.Running && !info.State.Restarting && !isCompleted(want.spec, info)) {
    return { op: 'update', why: [{ field: 'state', from: stateOf(info), to: 'running' }] };
  }
  if (parked !== null)
    return { op: 'update', why: [{ field: 'container', from: 'an old one was left behind', to: 'removed' }] };
  return { op: 'none' };
}

const stateOf = (info: ContainerInfo): string =>
  info.State.Status === 'exited' ? `exited (${info.State.ExitCode})` : info.State.Status;
const isCompleted = (spec: ServiceSpec, info: ContainerInfo): boolean =>
  info.State.Status === 'exited' &&
  info.State.ExitCode === 0 &&
  (spec.restart.name === 'no' || spec.restart.name === 'on-failure');

function health({ spec }: Desired<ServiceSpec>, seen: Seen<ServiceFact> | undefined): Health {
  if (seen === undefined) return { state: 'bad', message: 'there is no container' };
  const { info, log, runningMs } = seen.fact;
  const tail = log ? `; its last lines: ${log}` : '';
  const { State: state } = info;
  if (isCompleted(spec, info)) return { state: 'ok', message: '' };
  if (state.Restarting) return { state: 'bad', message: `keeps restarting, last exit code ${state.ExitCode}${tail}` };
  if (!state.Running)
    return { state: 'bad', message: `${stateOf(info)}${state.OOMKilled ? ', out of memory' : ''}${tail}` };
  const status = state.Health?.Status;
  if (status === 'healthy') return { state: 'ok', message: '' };
  if (status === 'unhealthy') return { state: 'bad', message: `its healthcheck fails${tail}` };
  if (status === 'starting') return { state: 'wait', message: 'its healthcheck has not passed yet' };
  return runningMs >= STEADY_MS
    ? { state: 'ok', message: '' }
    : { state: 'wait', message: `has run for ${Math.round(runningMs / 1000)} of ${STEADY_MS / 1000} s` };
}

async function ensureImage(docker: Docker, image: string, policy: ServiceSpec['pullPolicy']): Promise<void> {
  if (policy !== 'always' && (await docker.hasImage(image))) return;
  if (policy === 'never') {
    throw new AgentError({
      code: 'ImageMissing',
      phase: 'prepare',
      retry: true,
      message: `image ${image} is not on this host and pull_policy is never; load it`,
    });
  }
  await docker.pull(image);
}

/** Stops the old container, sets it aside, starts the new one; brings the old one back where that fails. */
async function replace(docker: Docker, want: Desired<ServiceSpec>, seen: Seen<ServiceFact> | undefined): Promise<void> {
  const { spec } = want;
  const old = seen?.fact;
  await refuseForeign(docker, spec);
  const oldName = old?.info.Name.replace(/^\//, '') ?? '';
  const parkedName = `${spec.containerName}${PARKED}`;
  if (old?.parked) await docker.remove(old.parked, false);
  if (old && !old.onlyParked) {
    await docker.stop(old.info.Id, null);
    await docker.rename(old.info.Id, parkedName);
  }
  let made: string | null = null;
  try {
    made = await docker.create(withAnonymousVolumes(createRequest(spec, want.hash), spec, old?.info));
    for (const network of spec.networks.slice(1))
      await docker.connect(network.name, made, aliasesOf(spec, network.aliases));
    await docker.start(made);
  } catch (thrown) {
    if (made !== null) await docker.remove(made, true);
    if (old) {
      await docker.rename(old.info.Id, old.onlyParked ? spec.containerName : oldName);
      if (old.info.State.Running || old.onlyParked) await docker.start(old.info.Id);
    }
    throw thrown;
  }
  if (old) await docker.remove(old.info.Id, false);
}

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

/** What the old container kept in anonymous volumes moves along. */
function withAnonymousVolumes(
  request: ReturnType<typeof createRequest>,
  spec: ServiceSpec,
  old: ContainerInfo | undefined,
): ReturnType<typeof createRequest> {
  const declared = new Set(spec.mounts.filter((m) => m.source !== '' || m.type === 'tmpfs').map((m) => m.target));
  const kept = (old?.Mounts ?? []).filter(
    (m) => m.Type === 'volume' && /^[0-9a-f]{64}$/.test(m.Name ?? '') && !declared.has(m.Destination),
  );
  const binds = [...(request.HostConfig?.Binds ?? []), ...kept.map((m) => `${m.Name}:${m.Destination}:rw`)];
  return { ...request, HostConfig: { ...request.HostConfig, Binds: binds } };
}
