/** A normalised project → services, networks, volumes and the trees they mount. Pure. */

import { mountProblem } from '../../core/names/reserved-paths.ts';
import { volumePaths } from '../../core/names/volume-paths.ts';
import { canonicalHash } from '../../core/payload/hash.ts';
import type { Desired, Issue, ResourceId } from '../../core/types.ts';
import type { LoadedProject } from '../load/load.ts';
import type { KeyPath } from '../yaml/node.ts';
import { adoption, modeAt, settingsAt } from './fairlead.ts';
import { networkId, serviceId, volumeId } from './ids.ts';
import type { StackInput } from './input.ts';
import type { NetworkSpec, VolumeSpec } from './model.ts';
import { replicasOf } from './rollout.ts';
import { serviceResource } from './service.ts';
import { createTrees } from './trees.ts';

export interface ResourcesInput {
  input: StackInput;
  loaded: LoadedProject;
  /** The stack's directory on the host, absolute. */
  hostDir: string;
}

/** The parts of the project that one service needs. */
export interface StackContext extends ResourcesInput {
  fail(path: KeyPath, message: string): void;
  warn(path: KeyPath, message: string): void;
  resource<S>(id: ResourceId, path: KeyPath, spec: S, more?: Partial<Desired<S>>): Desired<S>;
  trees: ReturnType<typeof createTrees>;
}

export function toResources(given: ResourcesInput): { resources: Desired[]; issues: Issue[] } {
  const { input, loaded } = given;
  const { project, origin } = loaded;
  const issues: Issue[] = [];
  const tell = (severity: Issue['severity']) => (path: KeyPath, message: string) => {
    const { file, line, column } = origin(path);
    issues.push({ file, line, column, key: path.join('.'), message, severity });
  };
  const fail = tell('error');
  const resource = <S>(id: ResourceId, path: KeyPath, spec: S, more: Partial<Desired<S>> = {}): Desired<S> => {
    const { file, line, layer } = origin(path);
    return {
      id,
      spec,
      hash: canonicalHash(spec, input.sha256),
      after: [],
      notify: [],
      origin: { file, line, layer },
      ...more,
    };
  };
  // Below a directory of the host's own things lie there already.
  const isTree = given.hostDir.startsWith(`${input.treeRoot}/`);
  const existing = isTree || settingsAt(loaded, []).adopt === 'recreate' ? {} : { existing: 'held' as const };
  const context: StackContext = {
    ...given,
    fail,
    warn: tell('warning'),
    resource,
    trees: createTrees(input, resource, existing),
  };
  const networks = Object.keys(project.networks ?? {}).map((key) => network(context, key));
  const volumes = Object.keys(project.volumes ?? {}).map((key) => volume(context, key));
  const services = Object.keys(project.services).map((name) => serviceResource(context, name));
  const observed = new Set(services.filter((s) => s.mode === 'observe').map((s) => s.id));
  return { resources: [...context.trees.resources(observed), ...networks, ...volumes, ...services], issues };
}

function network({ loaded, resource }: StackContext, key: string): Desired<NetworkSpec> {
  const { project } = loaded;
  const at = ['networks', key];
  const declared = project.networks?.[key];
  const spec: NetworkSpec = {
    project: project.name,
    key,
    name: declared?.name ?? key,
    external: declared?.external ?? false,
    driver: declared?.driver ?? 'bridge',
    driverOptions: declared?.driver_opts ?? {},
    internal: declared?.internal ?? false,
    attachable: declared?.attachable ?? false,
    ipv4: declared?.enable_ipv4 ?? null,
    ipv6: declared?.enable_ipv6 ?? null,
    ipam: {
      driver: declared?.ipam.driver ?? '',
      config: (declared?.ipam.config ?? []).map((c) => ({
        subnet: c.subnet ?? '',
        range: c.ip_range ?? '',
        gateway: c.gateway ?? '',
        aux: c.aux_addresses ?? {},
      })),
    },
    labels: declared?.labels ?? {},
    adopt: adoption(loaded, at),
  };
  const members = Object.entries(project.services)
    .filter(([, service]) => replicasOf(service) > 0 && Object.hasOwn(service.networks ?? {}, key))
    .map(([name]) => serviceId(project.name, name));
  return resource(networkId(project.name, key), at, spec, {
    ...modeAt(loaded, at),
    // Containers on a network that is recreated are connected again in the same run.
    ...(members.length > 0 ? { reload: members } : {}),
  });
}

function volume({ loaded, resource, fail }: StackContext, key: string): Desired<VolumeSpec> {
  const { project } = loaded;
  const at = ['volumes', key];
  const { prune, adopt = 'match' } = settingsAt(loaded, at);
  const declared = project.volumes?.[key];
  const { device = '' } = declared?.driver_opts ?? {};
  const named = [...(device.startsWith('/') ? [device] : []), ...volumePaths(declared?.driver_opts).map((p) => p.path)];
  for (const path of new Set(named)) {
    const problem = mountProblem(path);
    const option = path === device ? 'device' : 'o';
    if (problem !== null) fail([...at, 'driver_opts', option], `\`${path}\` ${problem}; mount another directory`);
  }
  const spec: VolumeSpec = {
    project: project.name,
    key,
    name: declared?.name ?? key,
    external: declared?.external ?? false,
    driver: declared?.driver ?? 'local',
    driverOptions: declared?.driver_opts ?? {},
    labels: declared?.labels ?? {},
    prune,
    adopt,
  };
  return resource(volumeId(project.name, key), at, spec, modeAt(loaded, at));
}
