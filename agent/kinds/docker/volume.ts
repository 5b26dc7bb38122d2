/** Named volumes of stacks. Made, and deleted only where that is asked for: they hold what nobody can make again. */

import type { VolumeSpec } from '../../compose/stack/model.ts';
import { eachGone, eachWork } from '../../core/each.ts';
import type { Provider } from '../../core/provider.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Docker } from '../../system/docker/docker.ts';
import { COMPOSE_VERSION, locate, PROJECT, VOLUME } from './labels.ts';

export interface VolumeFact {
  name: string;
  driver: string;
  driverOptions: Record<string, string>;
}

export function createVolumeProvider({ docker }: { docker: Docker }): Provider<VolumeSpec, VolumeFact> {
  return {
    kind: 'volume',
    claims: (spec) => (spec.external ? [`uses:${spec.project}/${spec.name}`] : [`volume:${spec.name}`]),
    owns: (spec) => !spec.external,
    memo: (spec) => (spec.prune && !spec.external ? { prune: true } : undefined),
    hold,
    diff({ spec }, seen) {
      if (seen === undefined) return { op: 'create', why: [{ field: 'state', from: 'missing', to: spec.name }] };
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
    apply: (work) =>
      eachWork(work, async ({ change, want, seen }) => {
        if (change.op === 'none') return;
        const { spec } = want;
        if (spec.external) {
          throw new AgentError({
            code: 'VolumeMissing',
            phase: 'apply',
            message: `volume ${spec.name} is declared as external and does not exist on this host; make it with \`docker volume create ${spec.name}\`, or remove \`external\``,
          });
        }
        if (seen) {
          if (!isDisposable(spec)) throw differs(spec, seen.fact);
          await removeUnused(docker, seen.fact.name);
        }
        await docker.createVolume({
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
      }),
    remove: (gone, _signal, report) =>
      eachGone(gone, async ({ id, seen: { fact, mark } }) => {
        if (mark?.memo?.prune === true) await removeUnused(docker, fact.name);
        else report?.(id, { field: 'volume', to: `${fact.name} stays on the host, with its data` });
      }),
  };
}

/** Both are asked for: that it is made anew, and that what is in it goes. */
const isDisposable = ({ adopt, prune }: VolumeSpec): boolean => adopt === 'recreate' && prune;

/** Somebody else made it, and it differs: a person decides. */
function hold({ id, spec }: Desired<VolumeSpec>, seen: Seen<VolumeFact> | undefined, change: Change): string | null {
  if (seen === undefined || seen.mark !== undefined || change.op === 'none' || isDisposable(spec)) return null;
  return `volume ${seen.fact.name} was not made by fairlead and differs from ${id} in ${change.why.map((r) => r.field).join(', ')}; it is used as it is: declare it so, or as external`;
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

/** @throws AgentError `VolumeInUse`, naming who uses it */
async function removeUnused(docker: Docker, name: string): Promise<void> {
  const users = (await docker.containers()).filter((c) => c.Mounts.some((m) => m.Type === 'volume' && m.Name === name));
  if (users.length > 0)
    throw new AgentError({
      code: 'VolumeInUse',
      phase: 'apply',
      message: `volume ${name} is still used by ${users.map((c) => (c.Names[0] ?? c.Id).replace(/^\//, '')).join(', ')}; remove what uses it`,
    });
  await docker.removeVolume(name);
}

/** What only a new volume could be; its labels say nothing of its data. */
function differences(spec: VolumeSpec, has: VolumeFact): Reason[] {
  if (has.driver !== spec.driver) return [{ field: 'driver', from: has.driver, to: spec.driver }];
  const names = new Set([...Object.keys(has.driverOptions), ...Object.keys(spec.driverOptions)]);
  return [...names]
    .filter((name) => has.driverOptions[name] !== spec.driverOptions[name])
    .map((name) => ({
      field: `driver_opts.${name}`,
      from: has.driverOptions[name] ?? 'none',
      to: spec.driverOptions[name] ?? 'none',
    }));
}
