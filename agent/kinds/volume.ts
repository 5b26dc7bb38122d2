/** Named volumes of stacks. Made, never deleted: they hold what nobody can make again. */
import type { VolumeSpec } from '../compose/model.ts';
import type { Provider } from '../core/provider.ts';
import type { Reason, ResourceId, Seen } from '../core/types.ts';
import { AgentError } from '../errors.ts';
import type { Docker } from '../system/docker.ts';
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
    async apply({ change, want, seen }) {
      if (change.op === 'none') return;
      const { spec } = want;
      if (spec.external) {
        throw new AgentError({
          code: 'VolumeMissing',
          phase: 'apply',
          retry: true,
          message: `volume ${spec.name} is declared as external and does not exist on this host; make it with \`docker volume create ${spec.name}\`, or remove \`external\``,
        });
      }
      if (seen) {
        throw new AgentError({
          code: 'VolumeDiffers',
          phase: 'apply',
          message: `volume ${seen.fact.name} is there, and differs from its declaration (${differences(spec, seen.fact)
            .map(({ field, from, to }) => `${field}: ${from}, declared is ${to}`)
            .join('; ')}); fairlead does not delete volumes: move its data, then remove it by hand`,
        });
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
    },
    async remove() {
      // It leaves the inventory, and stays on the host with its data.
    },
  };
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
