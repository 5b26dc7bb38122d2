/** Adds what Compose implies to a model: networks, dependencies, names, values of variables. Pure; changes the tree. */
import { sharedWith } from '../spec/namespace.ts';
import {
  child,
  entriesOf,
  flag,
  isNull,
  itemsOf,
  list,
  type MapNode,
  map,
  type Node,
  nothing,
  stringOf,
  text,
} from '../yaml/node.ts';
import { cleanPath } from '../yaml/paths.ts';

export function normaliseModel(model: MapNode, name: string, variables: ReadonlyMap<string, string>): void {
  const services = entriesOf(child(model, 'services'));
  let usesDefault = false;
  for (const [, service] of services) {
    if (service.kind !== 'map') continue;
    usesDefault = addNetworks(service) || usesDefault;
    if (stringOf(child(service, 'pull_policy')) === 'if_not_present')
      service.entries.set('pull_policy', text('missing', service.entries.get('pull_policy')?.at ?? service.at));
    resolveVariables(service, variables);
    addDependencies(service);
    for (const mount of itemsOf(child(service, 'volumes'))) {
      const target = child(mount, 'target');
      if (mount.kind === 'map' && stringOf(target))
        mount.entries.set('target', text(cleanPath(String(stringOf(target))), target?.at ?? mount.at));
    }
  }
  if (usesDefault) {
    const networks = child(model, 'networks');
    if (networks?.kind !== 'map') model.entries.set('networks', map([['default', nothing(model.at)]], model.at));
    else if (!networks.entries.has('default')) networks.entries.set('default', nothing(model.at));
  }
  for (const section of ['networks', 'volumes', 'configs', 'secrets']) nameFromKeys(child(model, section), name);
}

/** @returns whether the service is on the default network */
function addNetworks(service: MapNode): boolean {
  if (service.entries.has('network_mode')) return false;
  const networks = child(service, 'networks');
  if (networks?.kind === 'map' && networks.entries.size > 0) return networks.entries.has('default');
  service.entries.set('networks', map([['default', nothing(service.at)]], networks?.at ?? service.at));
  return true;
}

/** `environment: [NAME]` and `NAME:` take their value from the variables, where there is one. */
function resolveVariables(service: MapNode, variables: ReadonlyMap<string, string>): void {
  const environment = service.entries.get('environment');
  if (environment?.kind === 'map') {
    for (const [key, value] of environment.entries) {
      const found = isNull(value) ? variables.get(key) : undefined;
      if (found !== undefined) environment.entries.set(key, text(found, value.at));
    }
  } else if (environment?.kind === 'list') {
    const items = environment.items.map((item) => {
      const found = variables.get(stringOf(item) ?? '');
      return found === undefined ? item : text(`${stringOf(item)}=${found}`, item.at);
    });
    service.entries.set('environment', list(items, environment.at));
  }
}

/** Links, shared namespaces and volumes of another service mean a dependency. */
function addDependencies(service: MapNode): void {
  const known = child(service, 'depends_on');
  const dependsOn = known?.kind === 'map' ? known : map([], service.at);
  const add = (name: string, restart: boolean, at: Node) => {
    if (dependsOn.entries.has(name)) return;
    const how: [string, Node][] = [
      ['condition', text('service_started', at.at)],
      ['restart', flag(restart, at.at)],
      ['required', flag(true, at.at)],
    ];
    dependsOn.entries.set(name, map(how, at.at));
  };
  for (const link of itemsOf(child(service, 'links'))) {
    const parts = (stringOf(link) ?? '').split(':');
    add(parts.length === 2 ? (parts[0] ?? '') : parts.join(':'), true, link);
  }
  for (const key of ['network_mode', 'ipc', 'pid', 'uts', 'cgroup']) {
    const node = child(service, key);
    const shared = sharedWith(stringOf(node));
    if (node && shared !== undefined) add(shared, true, node);
  }
  for (const from of itemsOf(child(service, 'volumes_from'))) {
    const written = stringOf(from) ?? '';
    if (!written.startsWith('container:')) add(written.split(':')[0] ?? '', false, from);
  }
  if (dependsOn.entries.size > 0) service.entries.set('depends_on', dependsOn);
}

function nameFromKeys(section: Node | undefined, project: string): void {
  if (section?.kind !== 'map') return;
  for (const [key, value] of section.entries) {
    const resource = value.kind === 'map' ? value : map([], value.at);
    const given = resource.entries.get('name');
    if (given === undefined || isNull(given)) {
      const external = child(resource, 'external');
      const isExternal = external?.kind === 'scalar' && external.value === true;
      resource.entries.set('name', text(isExternal ? key : `${project}_${key}`, value.at));
    }
    section.entries.set(key, resource);
  }
}
