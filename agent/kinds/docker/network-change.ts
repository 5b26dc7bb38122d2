/**
 * Recreates a network: its containers are detached and attached again. Nothing is detached before checks show that the new
 * network can be created; if that fails nevertheless, the old one is restored.
 */
import { BlockList, isIPv6 } from 'node:net';
import type { NetworkSpec } from '../../compose/stack/model.ts';
import type { Work } from '../../core/provider.ts';
import type { ResourceId } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Attachment, ContainerSummary, Docker, NetworkInfo, NetworkRequest } from '../../system/docker/types.ts';
import { isReplica, NETWORK, PROJECT, SERVICE } from './labels.ts';

export type NetworkWork = Work<NetworkSpec, { info: NetworkInfo }>;

interface Surroundings {
  docker: Docker;
  owned(id: ResourceId): boolean;
}

/** A container that was on the network, and its attachment. */
interface Detached {
  id: string;
  at: Attachment;
}

const nameOf = ({ Names, Id }: ContainerSummary): string => (Names[0] ?? Id).replace(/^\//, '');

/** The subnets that Docker reserves; those of another address space or IPAM driver are not checked by it. */
export const subnetsOf = ({ driver, ipam }: NetworkSpec): string[] =>
  driver === 'overlay' || !['', 'default'].includes(ipam.driver)
    ? []
    : ipam.config.map(({ subnet }) => subnet).filter((subnet) => subnet !== '');

/**
 * Finds changes that would fail too late: foreign containers on a network that must be recreated, and a subnet or a name that
 * another network keeps.
 * @param declared all networks of the commit
 * @returns failures by id
 */
export async function refuseImpossibleChanges(
  { docker, owned, declared }: Surroundings & { declared: ReadonlySet<ResourceId> },
  work: readonly NetworkWork[],
): Promise<Map<ResourceId, AgentError>> {
  const failures = new Map<ResourceId, AgentError>();
  const making = work.filter(({ change, want }) => change.op !== 'none' && !want.spec.external);
  if (making.length === 0) return failures;
  const [networks, containers] = [await docker.networks(), await docker.containers()];
  const changing = new Set(making.map(({ want }) => want.id));
  /** Whether the network exists and will neither be removed nor changed. */
  const stays = ({ Labels }: NetworkInfo): boolean => {
    const id: ResourceId = `network:${Labels?.[PROJECT]}/${Labels?.[NETWORK]}`;
    return !owned(id) || (declared.has(id) && !changing.has(id));
  };
  const refuse = (resource: ResourceId, code: AgentError['code'], message: string) =>
    void failures.set(resource, new AgentError({ code, phase: 'prepare', resource, message }));
  for (const { want, seen } of making) {
    const { spec, id } = want;
    const old = seen?.fact.info;
    const others = networks.filter((network) => network.Id !== old?.Id && stays(network));
    const holder = holderOf(spec, others);
    const named = others.find(({ Name }) => Name === spec.name);
    const strangers = old ? attachedTo(containers, old).filter((c) => !isOurs(owned, spec.project, c)) : [];
    if (strangers.length > 0)
      refuse(
        id,
        'NetworkInUse',
        `network ${old?.Name} must be recreated, and ${strangers.map(nameOf).join(', ')}, which fairlead did not create, ${strangers.length > 1 ? 'are' : 'is'} on it; disconnect ${strangers.length > 1 ? 'them' : 'it'} (\`docker network disconnect\`), and it is done then`,
      );
    else if (holder)
      refuse(
        id,
        'SubnetInUse',
        `subnet ${holder.wanted} of ${id} overlaps with ${holder.subnet} of network ${holder.network}; choose another subnet, or remove that network`,
      );
    else if (named && old)
      refuse(id, 'NameConflict', `network name ${spec.name} is taken by ${named.Id.slice(0, 12)}; choose another name`);
  }
  return failures;
}

function holderOf(spec: NetworkSpec, others: readonly NetworkInfo[]) {
  for (const wanted of subnetsOf(spec))
    for (const { Name, IPAM } of others)
      for (const { Subnet } of IPAM?.Config ?? [])
        if (Subnet !== undefined && overlap(wanted, Subnet)) return { wanted, subnet: Subnet, network: Name };
  return null;
}

const attachedTo = (containers: readonly ContainerSummary[], { Id }: NetworkInfo): ContainerSummary[] =>
  containers.filter((c) => Object.values(c.NetworkSettings?.Networks ?? {}).some((at) => at.NetworkID === Id));

/** Whether the container's service is of this stack, or is another one that fairlead manages, so that it is attached again. */
function isOurs(owned: Surroundings['owned'], project: string, { Labels }: ContainerSummary): boolean {
  if (!isReplica(Labels) || Labels[SERVICE] === undefined) return false;
  return Labels[PROJECT] === project || owned(`service:${Labels[PROJECT]}/${Labels[SERVICE]}`);
}

/** Detaches our containers, and removes the network. @returns the containers that were on it, with their attachments */
export async function takeApart(
  { docker, owned }: Surroundings,
  project: string,
  network: NetworkInfo,
): Promise<Detached[]> {
  const members = attachedTo(await docker.containers(), network).filter((c) => isOurs(owned, project, c));
  const detached: Detached[] = [];
  try {
    for (const { Id: id } of members) {
      const at = (await docker.inspect(id))?.NetworkSettings.Networks[network.Name];
      if (at === undefined) continue;
      await docker.disconnect(network.Id, id);
      detached.push({ id, at });
    }
    await docker.removeNetwork(network.Id);
    return detached;
  } catch (thrown) {
    await attach(docker, network.Name, detached);
    throw thrown;
  }
}

interface Replacement {
  project: string;
  info: NetworkInfo;
  make(): Promise<void>;
}

/** Recreates the network and attaches its containers again, with the attachments that their services declare. */
export async function replaceNetwork(around: Surroundings, { project, info, make }: Replacement): Promise<void> {
  const detached = await takeApart(around, project, info);
  try {
    await make();
  } catch (thrown) {
    await around.docker.createNetwork(asBefore(info));
    await attach(around.docker, info.Name, detached);
    throw thrown;
  }
}

/** Restores the attachments with their names, addresses and options. */
async function attach(docker: Docker, network: string, detached: readonly Detached[]): Promise<void> {
  for (const { id, at } of detached) {
    const { Aliases, Links, IPAMConfig, DriverOpts, GwPriority } = at;
    await docker.connect(network, id, {
      ...(Aliases ? { Aliases } : {}),
      ...(Links ? { Links } : {}),
      ...(IPAMConfig ? { IPAMConfig } : {}),
      ...(DriverOpts ? { DriverOpts } : {}),
      ...(GwPriority ? { GwPriority } : {}),
    });
  }
}

const asBefore = ({
  Name,
  Driver,
  Internal,
  Attachable,
  EnableIPv6,
  IPAM,
  Options,
  Labels,
}: NetworkInfo): NetworkRequest => ({
  ...{ Name, CheckDuplicate: true, Driver, Internal, Attachable, EnableIPv6 },
  ...(IPAM ? { IPAM: IPAM as NonNullable<NetworkRequest['IPAM']> } : {}),
  ...(Options ? { Options } : {}),
  ...(Labels ? { Labels } : {}),
});

/** Adds the network that has the subnet to the error, if there is one. */
export async function withHolder(docker: Docker, { ipam }: NetworkSpec, thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof AgentError) || thrown.code !== 'SubnetInUse') return thrown;
  const wanted = ipam.config.map((c) => c.subnet);
  const holder = (await docker.networks()).find((n) =>
    (n.IPAM?.Config ?? []).some(({ Subnet }) =>
      wanted.some((subnet) => Subnet !== undefined && overlap(subnet, Subnet)),
    ),
  );
  const who = holder ? `network ${holder.Name} has it` : 'an interface or route of the host has it (see `ip route`)';
  return new AgentError({ code: 'SubnetInUse', phase: 'apply', message: `${thrown.message}; ${who}` });
}

/** Whether one of two subnets such as `10.1.0.0/16` contains the other. */
function overlap(a: string, b: string): boolean {
  const holds = (outer: string, inner: string) => {
    const [address = '', prefix = ''] = outer.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    const list = new BlockList();
    list.addSubnet(address, Number(prefix), family);
    return list.check(inner.split('/')[0] ?? '', family);
  };
  return isIPv6(a.split('/')[0] ?? '') === isIPv6(b.split('/')[0] ?? '') && (holds(a, b) || holds(b, a));
}
