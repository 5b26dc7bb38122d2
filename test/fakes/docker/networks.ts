/** Networks of a Docker engine in memory, and the containers on them. */
import { BlockList } from 'node:net';
import type { Docker, NetworkRequest } from '../../../agent/system/docker/docker.ts';
import { attachment } from './create.ts';
import { conflict, refusal, serverError } from './refusals.ts';
import { containerOf, type FakeContainer, type FakeNetwork, networkOf, type State } from './state.ts';

export const BUILT_IN = ['bridge', 'host', 'none'];

export function addNetwork(state: State, request: NetworkRequest, isBuiltIn = false): void {
  const { Name, Driver = 'bridge', Internal = false, Attachable = false, EnableIPv6 = false } = request;
  for (const { Name: taken } of state.networks.values())
    if (taken === Name) throw conflict(`network with name ${Name} already exists`);
  const asked = request.IPAM?.Config ?? [];
  const used = [...state.networks.values()].flatMap((n) => (n.IPAM?.Config ?? []).flatMap((c) => c.Subnet ?? []));
  for (const { Subnet } of asked)
    if (Subnet !== undefined && used.some((other) => overlap(other, Subnet)))
      throw refusal(
        403,
        'operation not supported for pre-defined networks',
        'Pool overlaps with other one on this address space',
      );
  const Id = state.newId();
  const network: FakeNetwork = {
    Id,
    Name,
    Driver,
    Internal,
    Attachable,
    EnableIPv6,
    IPAM: { Driver: 'default', Config: asked.length > 0 ? asked : [{ Subnet: `10.200.${state.networks.size}.0/24` }] },
    Options: request.Options ?? {},
    Labels: request.Labels ?? {},
    isBuiltIn,
  };
  state.networks.set(Id, network);
  emitNetworkEvent(state, network, 'create');
}

function overlap(a: string, b: string): boolean {
  const holds = (outer: string, inner: string) => {
    const [address = '', prefix = ''] = outer.split('/');
    const pool = new BlockList();
    pool.addSubnet(address, Number(prefix), address.includes(':') ? 'ipv6' : 'ipv4');
    const first = inner.split('/')[0] ?? '';
    return pool.check(first, first.includes(':') ? 'ipv6' : 'ipv4');
  };
  return holds(a, b) || holds(b, a);
}

export function dropNetwork(state: State, ref: string): void {
  const network = networkOf(state, ref);
  if (network.isBuiltIn)
    throw refusal(
      403,
      'operation not supported for pre-defined networks',
      `${network.Name} is a pre-defined network and cannot be removed`,
    );
  // Only a running container has an endpoint on it.
  const isOn = (c: FakeContainer) => c.pid > 0 && c.networks.has(network.Name);
  if ([...state.containers.values()].some(isOn))
    throw refusal(
      403,
      'operation not supported for pre-defined networks',
      `error while removing network: network ${network.Name} id ${network.Id} has active endpoints`,
    );
  state.networks.delete(network.Id);
  emitNetworkEvent(state, network, 'destroy');
}

export function emitNetworkEvent(
  state: State,
  { Id, Name, Driver }: FakeNetwork,
  Action: string,
  container = '',
): void {
  const who: Record<string, string> = container ? { container } : {};
  state.tell({ Type: 'network', Action, Actor: { ID: Id, Attributes: { name: Name, type: Driver, ...who } } });
}

/** A starting container gets its addresses; all of its networks must exist. @throws the Docker engine's error if one does not */
export function assignAddresses(state: State, c: FakeContainer): void {
  for (const [name, at] of c.networks) {
    const network = networkOf(state, at.NetworkID === '' ? name : at.NetworkID);
    c.networks.set(name, { ...at, ...addressOn(state, network, at) });
    emitNetworkEvent(state, network, 'connect', c.id);
  }
}

export function unplug(state: State, c: FakeContainer): void {
  for (const [name, at] of c.networks) {
    c.networks.set(name, { ...at, IPAddress: '', MacAddress: '' });
    const network = state.networks.get(at.NetworkID);
    if (network) emitNetworkEvent(state, network, 'disconnect', c.id);
  }
}

function addressOn(
  state: State,
  { Id, Name }: FakeNetwork,
  at: { MacAddress: string; IPAMConfig?: { IPv4Address?: string } | null },
) {
  if (Name === 'host' || Name === 'none') return { NetworkID: Id };
  const subnet = state.networks.get(Id)?.IPAM?.Config?.[0]?.Subnet ?? '10.200.0.0/24';
  const host = 2 + [...state.containers.values()].filter((c) => c.pid > 0 && c.networks.has(Name)).length;
  const chosen = subnet.replace(/\d+\/\d+$/, String(host));
  return {
    NetworkID: Id,
    IPAddress: at.IPAMConfig?.IPv4Address ?? chosen,
    MacAddress: at.MacAddress || `02:42:0a:c8:00:${host.toString(16).padStart(2, '0')}`,
  };
}

type Calls = 'networks' | 'createNetwork' | 'removeNetwork' | 'connect' | 'disconnect';

export function networkCalls(state: State): Pick<Docker, Calls> {
  return {
    networks: async () => [...state.networks.values()].map(({ isBuiltIn: _, ...network }) => structuredClone(network)),
    createNetwork: async (request) => addNetwork(state, request),
    removeNetwork: async (ref) => dropNetwork(state, ref),
    async connect(ref, container, endpoint) {
      const c = containerOf(state, container);
      const network = networkOf(state, ref);
      if (c.networks.has(network.Name))
        throw refusal(
          403,
          'operation not supported for swarm scoped networks',
          `endpoint with name ${c.name} already exists in network ${network.Name}`,
        );
      // A container that was created without a network has none until it is connected to one.
      c.networks.delete('none');
      const at = attachment(network.Id, endpoint);
      c.networks.set(network.Name, c.pid > 0 ? { ...at, ...addressOn(state, network, at) } : at);
      if (c.pid > 0) emitNetworkEvent(state, network, 'connect', c.id);
    },
    async disconnect(ref, container) {
      const c = containerOf(state, container);
      const network = [...state.networks.values()].find((n) => n.Id === ref || n.Name === ref);
      if (network === undefined || !c.networks.delete(network.Name))
        throw serverError(`container ${c.id} is not connected to the network ${network?.Name ?? ref}`);
      if (c.pid > 0) emitNetworkEvent(state, network, 'disconnect', c.id);
    },
  };
}
