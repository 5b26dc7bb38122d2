/** A merged, checked compose file → services, networks, volumes and the trees they mount. Pure. */
import { issueAt } from '../../manifests-schema/check.ts';
import type { KeyPath, Parsed } from '../../manifests-schema/yaml.ts';
import { canonicalHash } from '../core/hash.ts';
import type { Desired, Issue, ResourceId } from '../core/types.ts';
import type { StackInput } from './index.ts';
import { listToMap, toMap } from './merge.ts';
import type { NetworkSpec, VolumeSpec } from './model.ts';
import type { ComposeFile } from './schema.ts';
import { normaliseService } from './service.ts';
import { createTrees } from './trees.ts';

export interface NormaliseInput {
  input: StackInput;
  file: ComposeFile;
  where: Parsed & { fileOf(path: KeyPath): string };
  vars: ReadonlyMap<string, string>;
}

/** What normalising one part needs of the whole. */
export interface StackContext extends NormaliseInput {
  project: string;
  fail(path: KeyPath, message: string): void;
  resource<S>(id: ResourceId, path: KeyPath, spec: S, more?: Partial<Desired<S>>): Desired<S>;
  networkName(key: string): string;
  volumeName(key: string): string;
  trees: ReturnType<typeof createTrees>;
}

export function normalise(given: NormaliseInput): { resources: Desired[]; issues: Issue[] } {
  const { input, file, where } = given;
  const issues: Issue[] = [];
  const project = projectName(file.name ?? input.dir.split('/').at(-1) ?? '');
  const fail = (path: KeyPath, message: string) =>
    void issues.push({ ...issueAt(where, path, message), file: where.fileOf(path) });
  const resource = <S>(id: ResourceId, path: KeyPath, spec: S, more: Partial<Desired<S>> = {}): Desired<S> => ({
    id,
    spec,
    hash: canonicalHash(spec, input.sha256),
    after: [],
    notify: [],
    origin: { file: where.fileOf(path), line: where.locate(path).line, layer: input.layer },
    ...more,
  });
  if (project === '') fail(['name'], 'this directory gives no project name; set `name`');
  const networks = { ...file.networks };
  const services = Object.entries(file.services ?? {});
  const usesDefault = services.some(
    ([, s]) =>
      s.network_mode === undefined && (s.networks === undefined || Object.hasOwn(listToMap(s.networks), 'default')),
  );
  if (usesDefault && !Object.hasOwn(networks, 'default')) networks.default = null;
  const context: StackContext = {
    ...given,
    project,
    fail,
    resource,
    networkName: (key) => networks[key]?.name ?? (networks[key]?.external ? key : `${project}_${key}`),
    volumeName: (key) => file.volumes?.[key]?.name ?? (file.volumes?.[key]?.external ? key : `${project}_${key}`),
    trees: createTrees(input, resource),
  };

  const used = new Set(
    services.flatMap(([, s]) =>
      s.network_mode ? [] : Object.keys(s.networks ? listToMap(s.networks) : { default: null }),
    ),
  );
  const resources: Desired[] = [
    ...Object.keys(networks)
      .filter((key) => used.has(key))
      .map((key) => network(context, key, networks[key])),
    ...Object.keys(file.volumes ?? {}).map((key) => volume(context, key)),
  ];
  for (const [name, entry] of services) {
    for (const key of Object.keys(entry.networks ? listToMap(entry.networks) : {})) {
      if (key !== 'default' && !Object.hasOwn(networks, key))
        fail(['services', name, 'networks', key], `network \`${key}\` is not declared under \`networks\``);
    }
    const service = normaliseService(context, name, entry);
    if (service) resources.push(service);
  }
  return { resources: [...context.trees.resources(), ...resources], issues };
}

/** Compose Specification, "Top-level name": lower case letters, digits, - and _, beginning with a letter or digit. */
const projectName = (text: string): string =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '');

const strings = (value: unknown): Record<string, string> =>
  Object.fromEntries(Object.entries(toMap(value)).map(([k, v]) => [k, v === null ? '' : String(v)]));

function network(
  context: StackContext,
  key: string,
  entry: NonNullable<ComposeFile['networks']>[string] | undefined,
): Desired<NetworkSpec> {
  const spec: NetworkSpec = {
    project: context.project,
    key,
    name: context.networkName(key),
    external: entry?.external ?? false,
    driver: entry?.driver ?? 'bridge',
    driverOptions: strings(entry?.driver_opts),
    internal: entry?.internal ?? false,
    labels: strings(entry?.labels),
  };
  return context.resource(`network:${context.project}/${key}`, ['networks', key], spec);
}

function volume(context: StackContext, key: string): Desired<VolumeSpec> {
  const entry = context.file.volumes?.[key];
  const spec: VolumeSpec = {
    project: context.project,
    key,
    name: context.volumeName(key),
    external: entry?.external ?? false,
    driver: entry?.driver ?? 'local',
    driverOptions: strings(entry?.driver_opts),
    labels: strings(entry?.labels),
  };
  return context.resource(`volume:${context.project}/${key}`, ['volumes', key], spec);
}
