/** Named volumes of stacks. They are created, and deleted only on request, because their data cannot be recreated. */

import type { VolumeSpec } from '../../compose/stack/model.ts';
import { difference } from '../../core/credentials/credentials.ts';
import { eachGone, eachWork } from '../../core/each.ts';
import type { Decision, Provider } from '../../core/provider.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Docker, VolumeRequest } from '../../system/docker/docker.ts';
import { COMPOSE_VERSION, locate, PROJECT, VOLUME } from './labels.ts';
import { holdsNothing, isMemory, refuseVolumesInUse, usersOf, type VolumeFact, type VolumeWork } from './volume-use.ts';

export interface VolumeProviderOptions {
  docker: Docker;
  /** Whether fairlead created or adopted the resource: its containers may be stopped for a volume. */
  owned(id: ResourceId): boolean;
  /** Stops a container as its declaration says, and removes it: Docker removes no volume that a container refers to. */
  takeDown(container: string): Promise<void>;
}

export function createVolumeProvider({
  docker,
  owned,
  takeDown,
}: VolumeProviderOptions): Provider<VolumeSpec, VolumeFact> {
  return {
    kind: 'volume',
    claims: (spec) => (spec.external ? [`uses:${spec.project}/${spec.name}`] : [`volume:${spec.name}`]),
    owns: (spec) => !spec.external,
    memo: (spec) => (spec.prune && !spec.external ? { prune: true } : undefined),
    hold,
    diff({ spec }, seen) {
      // An external volume is not created: fairlead waits for it.
      const op = spec.external ? 'update' : 'create';
      if (seen === undefined) return { op, why: [{ field: 'state', from: 'missing', to: spec.name }] };
      const why = spec.external ? [] : differences(spec, seen.fact);
      return why.length > 0 ? { op: 'replace', why } : { op: 'none' };
    },
    health: (_want, seen) =>
      seen ? { state: 'ok', message: '' } : { state: 'bad', message: 'the volume does not exist' },
    async observe(ids, _signal, wants) {
      const all = await docker.volumes();
      const seen = new Map<ResourceId, Seen<VolumeFact>>();
      for (const id of ids) {
        const [project, key] = locate(id);
        const spec = wants?.get(id)?.spec;
        const named = all.find((v) => v.Name === (spec?.name ?? `${project}_${key}`));
        const labelled = all.find((v) => v.Labels?.[PROJECT] === project && v.Labels?.[VOLUME] === key);
        const found = spec ? named : (labelled ?? named);
        if (found)
          seen.set(id, { fact: { name: found.Name, driver: found.Driver, driverOptions: found.Options ?? {} } });
      }
      return seen;
    },
    prepare: (work) => refuseVolumesInUse({ docker, owned }, work.filter(isReplaced)),
    apply: (work) =>
      eachWork(work, async (one) => {
        const { change, want, seen } = one;
        if (change.op === 'none') return;
        const { spec } = want;
        if (spec.external) {
          // Another resource of the same commit may have created it meanwhile.
          if ((await docker.volumes()).some(({ Name }) => Name === spec.name)) return;
          throw new AgentError({
            code: 'VolumeMissing',
            phase: 'apply',
            message: `volume ${spec.name} is declared as external and does not exist on this host; make it with \`docker volume create ${spec.name}\`, or remove \`external\``,
          });
        }
        if (seen === undefined) return docker.createVolume(volumeRequest(spec));
        if (!isDisposable(spec, seen.fact)) throw differs(spec, seen.fact);
        await proveOptions(docker, spec);
        for (const failure of (await refuseVolumesInUse({ docker, owned }, [one])).values()) throw failure;
        for (const { Id } of await usersOf(docker, seen.fact.name)) await takeDown(Id);
        await removeUnused(docker, seen.fact.name);
        await docker.createVolume(volumeRequest(spec));
      }),
    remove: (gone, _signal, report) =>
      eachGone(gone, async ({ id, seen: { fact, mark } }) => {
        if (mark?.memo?.prune === true) await removeUnused(docker, fact.name);
        else report?.(id, staying(fact), 'stays');
      }),
    leaves: ({ seen: { fact, mark } }) => (mark?.memo?.prune === true ? null : staying(fact)),
  };
}

const staying = ({ name }: VolumeFact): Reason => ({ field: 'volume', to: `${name} stays on the host, with its data` });

/** The request that `docker compose` would make. */
const volumeRequest = (spec: VolumeSpec): VolumeRequest => ({
  Name: spec.name,
  Driver: spec.driver,
  ...(Object.keys(spec.driverOptions).length > 0 ? { DriverOpts: spec.driverOptions } : {}),
  Labels: {
    ...spec.labels,
    [VOLUME]: spec.key,
    [PROJECT]: spec.project,
    'com.docker.compose.version': COMPOSE_VERSION,
  },
});

const isReplaced = ({ change, want, seen }: VolumeWork): boolean =>
  change.op === 'replace' && seen !== undefined && isDisposable(want.spec, seen.fact);

/**
 * Docker checks options only when it creates a volume, so a test volume shows whether it accepts them before anything is
 * removed.
 */
async function proveOptions(docker: Docker, spec: VolumeSpec): Promise<void> {
  const name = `${spec.name}-fairlead-probe`;
  await docker.removeVolume(name);
  try {
    await docker.createVolume({ ...volumeRequest(spec), Name: name, Labels: {} });
  } finally {
    await docker.removeVolume(name);
  }
}

/**
 * True if the declaration opts in to recreating the volume *and* to losing its data; or if neither the volume nor its successor
 * stores data in Docker.
 */
const isDisposable = ({ adopt, prune, driver, driverOptions }: VolumeSpec, fact: VolumeFact): boolean =>
  (adopt === 'recreate' && prune) ||
  (holdsNothing(fact) && (isMemory(fact) || holdsNothing({ driver, driverOptions })));

/** An operator decides if somebody else created the volume and it differs, or if its data would be lost. */
function hold(
  { id, spec }: Desired<VolumeSpec>,
  seen: Seen<VolumeFact> | undefined,
  change: Change,
): string | Decision | null {
  if (seen === undefined || spec.external || change.op === 'none') return null;
  const { fact, mark } = seen;
  const isAsked = spec.adopt === 'recreate' && spec.prune;
  if (mark !== undefined || isAsked)
    return isDisposable(spec, fact)
      ? null
      : { code: 'VolumeDiffers', reason: differs(spec, fact).message, liftedBy: null };
  return `volume ${fact.name} was not made by fairlead and differs from ${id} in ${change.why.map((r) => r.field).join(', ')}; it is used as it is: declare it so, or as external`;
}

const differs = (spec: VolumeSpec, fact: VolumeFact) =>
  new AgentError({
    code: 'VolumeDiffers',
    phase: 'apply',
    message: `volume ${fact.name} is there, and differs from its declaration (${differences(spec, fact)
      .map(({ field, from, to }) => `${field}: ${from}, declared is ${to}`)
      .join(
        '; ',
      )}); fairlead does not delete volumes unasked: move its data, then remove it by hand, or set x-fairlead: {adopt: recreate, prune: true} to have it deleted`,
  });

/** @throws AgentError `VolumeInUse`, naming the containers that use it */
async function removeUnused(docker: Docker, name: string): Promise<void> {
  const users = await usersOf(docker, name);
  if (users.length > 0)
    throw new AgentError({
      code: 'VolumeInUse',
      phase: 'apply',
      message: `volume ${name} is still used by ${users.map((c) => (c.Names[0] ?? c.Id).replace(/^\//, '')).join(', ')}; remove what uses it`,
    });
  await docker.removeVolume(name);
}

const shown = (option: unknown): string => String(option ?? 'none');

/** Differences that need a new volume; labels do not matter. */
function differences(spec: VolumeSpec, has: VolumeFact): Reason[] {
  if (has.driver !== spec.driver) return [{ field: 'driver', from: has.driver, to: spec.driver }];
  const names = new Set([...Object.keys(has.driverOptions), ...Object.keys(spec.driverOptions)]);
  return [...names]
    .filter((name) => has.driverOptions[name] !== spec.driverOptions[name])
    .map((name) =>
      difference(`driver_opts.${name}`, { from: has.driverOptions[name], to: spec.driverOptions[name] }, shown),
    );
}
