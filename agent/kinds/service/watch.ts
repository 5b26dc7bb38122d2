/** Watches containers, networks and volumes through the Docker engine's events. */
import type { NetworkSpec, ServiceSpec, VolumeSpec } from '../../compose/stack/model.ts';
import type { Watcher } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { Log } from '../../log.ts';
import type { DockerEvent, DockerEvents } from '../../system/docker/events.ts';
import { memberOf } from '../container/fact.ts';
import type { Inspections } from '../docker/inspections.ts';
import { PROJECT, SERVICE } from '../docker/labels.ts';

export interface EngineWatcherOptions {
  events: DockerEvents;
  inspections: Inspections;
  log: Log;
}

/** Left out are attach, exec (every healthcheck causes three), top, resize and the like, which change nothing. */
const FILTERS = {
  type: ['container', 'network', 'volume'],
  event: [
    ...['create', 'start', 'restart', 'stop', 'die', 'oom', 'destroy', 'rename', 'update', 'pause', 'unpause'],
    ...['health_status', 'connect', 'disconnect', 'remove'],
  ],
};

export function createEngineWatcher({ events, inspections, log }: EngineWatcherOptions): Watcher {
  let hint: (id: ResourceId | '*') => void = () => undefined;
  let known: Known = index([]);
  /** Container id → owning resource. Network events identify containers only by id. */
  const owners = new Map<string, ResourceId>();
  const note = (id: string, labels: Record<string, string>) => {
    const owner = ownerOf(labels);
    if (owner) owners.set(id, owner);
  };
  return {
    kinds: ['service', 'network', 'volume'],
    start(tell, signal) {
      hint = tell;
      const event = (e: DockerEvent) => {
        if (e.Type === 'container') note(e.Actor.ID, e.Actor.Attributes);
        inspections.touched(e.Type === 'container' ? e.Actor.ID : (e.Actor.Attributes.container ?? ''));
        if (e.Type === 'container' && e.Action === 'stop') inspections.stopped(e.Actor.ID);
        for (const id of concerned(known, owners, e)) hint(id);
        if (e.Type === 'container' && e.Action === 'destroy') owners.delete(e.Actor.ID);
      };
      const gap = () => {
        hint('*');
        owners.clear();
        events.labels(signal).then(
          (found) => {
            for (const [id, labels] of found) note(id, labels);
          },
          (thrown: unknown) => log.debug({ error: String(thrown) }, 'cannot list the containers'),
        );
      };
      const { listening } = inspections;
      return events.follow({ filters: FILTERS, event, gap, listening }, signal);
    },
    manage(resources) {
      const before = known;
      known = index(resources);
      for (const id of known.ids) if (!before.ids.has(id)) hint(id);
    },
    limit: () => null,
  };
}

interface Known {
  ids: ReadonlySet<ResourceId>;
  /** Name in Docker → resource that declares it. */
  networks: ReadonlyMap<string, ResourceId>;
  volumes: ReadonlyMap<string, ResourceId>;
  /** Name of a network → the services that should be attached to it. */
  members: ReadonlyMap<string, readonly ResourceId[]>;
  containers: ReadonlyMap<string, ResourceId>;
}

/** Events of networks and volumes contain names, but no labels. */
export function index(resources: readonly Desired[]): Known {
  const of = <S>(kind: string) => resources.filter((r): r is Desired<S> => r.id.startsWith(`${kind}:`));
  const services = of<ServiceSpec>('service');
  const memberships = services.flatMap((s) => s.spec.networks.map(({ name }) => ({ name, id: s.id })));
  return {
    ids: new Set(resources.filter((r) => /^(service|network|volume):/.test(r.id)).map((r) => r.id)),
    networks: new Map(of<NetworkSpec>('network').map((n) => [n.spec.name, n.id])),
    volumes: new Map(of<VolumeSpec>('volume').map((v) => [v.spec.name, v.id])),
    members: new Map(
      [...Map.groupBy(memberships, (m) => m.name)].map(([name, found]) => [name, found.map((m) => m.id)]),
    ),
    containers: new Map(
      services.flatMap(({ id, spec }) =>
        Array.from({ length: spec.replicas }, (_, i) => [memberOf(spec, i + 1).containerName, id] as const),
      ),
    ),
  };
}

const ownerOf = (labels: Record<string, string>): ResourceId | undefined =>
  labels[PROJECT] === undefined ? undefined : `service:${labels[PROJECT]}/${labels[SERVICE] ?? ''}`;

/** The managed resources that an event concerns. Pure. @param owners container id → owning resource, as far as known */
export function concerned(
  known: Known,
  owners: ReadonlyMap<string, ResourceId>,
  { Type: type, Action: action, Actor: actor }: DockerEvent,
): ResourceId[] {
  const { Attributes: attributes = {}, ID: id } = actor;
  const name = attributes.name ?? '';
  if (type === 'volume') return [known.volumes.get(id) ?? known.volumes.get(name)].filter((v) => v !== undefined);
  if (type === 'network') {
    const network = known.networks.get(name);
    const members = known.members.get(name) ?? [];
    // Every container that starts or stops connects to or disconnects from its networks; the network itself did not change.
    const moved = action === 'connect' || action === 'disconnect';
    const owner = owners.get(attributes.container ?? '');
    if (moved && owner) return members.filter((id) => id === owner);
    return [...(network && !moved ? [network] : []), ...members];
  }
  const labelled = ownerOf(attributes);
  const named = known.containers.get(name) ?? known.containers.get((attributes.oldName ?? '').replace(/^\//, ''));
  return [...new Set([labelled, named])].filter((s) => s !== undefined && known.ids.has(s)) as ResourceId[];
}
