/** Named volumes of stacks. Made, never deleted: they hold what nobody can make again. */
import type { VolumeSpec } from '../compose/model.ts';
import type { Provider } from '../core/provider.ts';
import type { ResourceId, Seen } from '../core/types.ts';
import { AgentError } from '../errors.ts';
import type { Docker } from '../system/docker.ts';
import { COMPOSE_VERSION, locate, PROJECT, VOLUME } from './labels.ts';

export interface VolumeFact {
  name: string;
  driver: string;
}

export function createVolumeProvider({ docker }: { docker: Docker }): Provider<VolumeSpec, VolumeFact> {
  return {
    kind: 'volume',
    claims: (spec) => (spec.external ? [`uses:${spec.project}/${spec.name}`] : [`volume:${spec.name}`]),
    owns: (spec) => !spec.external,
    diff({ spec }, seen) {
      if (seen === undefined) return { op: 'create', why: [{ field: 'state', from: 'missing', to: spec.name }] };
      if (seen.fact.driver === spec.driver || spec.external) return { op: 'none' };
      return { op: 'replace', why: [{ field: 'driver', from: seen.fact.driver, to: spec.driver }] };
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
        if (found) seen.set(id, { fact: { name: found.Name, driver: found.Driver } });
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
          message: `volume ${seen.fact.name} has driver ${seen.fact.driver}, declared is ${spec.driver}; fairlead does not delete volumes: move its data, then remove it by hand`,
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
