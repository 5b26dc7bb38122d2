/** Docker networks of stacks. */

import { BlockList, isIPv6 } from 'node:net';
import type { NetworkSpec } from '../../compose/stack/model.ts';
import { eachGone, eachWork } from '../../core/each.ts';
import type { Provider } from '../../core/provider.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Docker, NetworkInfo, NetworkRequest } from '../../system/docker/docker.ts';
import { networkNeeds, refuseWhatIsTooNew } from './engine-version.ts';
import { COMPOSE_VERSION, locate, NETWORK, PROJECT } from './labels.ts';

export interface NetworkFact {
  info: NetworkInfo;
  /** It carries this project's label. */
  ours: boolean;
}

export function createNetworkProvider({ docker }: { docker: Docker }): Provider<NetworkSpec, NetworkFact> {
  return {
    kind: 'network',
    claims: (spec) => (spec.external ? [`uses:${spec.project}/${spec.name}`] : [`network:${spec.name}`]),
    owns: (spec) => !spec.external,
    hold,
    diff,
    health: (_want, seen) =>
      seen ? { state: 'ok', message: '' } : { state: 'bad', message: 'the network does not exist' },
    async observe(ids, _signal, wants) {
      const all = await docker.networks();
      const seen = new Map<ResourceId, Seen<NetworkFact>>();
      for (const id of ids) {
        const [project, key] = locate(id);
        const spec = wants?.get(id)?.spec;
        const labelled = all.find((n) => n.Labels?.[PROJECT] === project && n.Labels?.[NETWORK] === key);
        const named = all.find((n) => n.Name === (spec?.name ?? `${project}_${key}`));
        const found = spec?.external ? named : (labelled ?? named);
        if (found) seen.set(id, { fact: { info: found, ours: labelled !== undefined && !spec?.external } });
      }
      return seen;
    },
    prepare: (work) => refuseWhatIsTooNew(docker, work, networkNeeds),
    apply: (work) =>
      eachWork(work, async ({ change, want, seen }) => {
        if (change.op === 'none') return;
        if (want.spec.external) throw missing(want.spec);
        if (seen) await clear(docker, want.spec, seen.fact.info.Id);
        await docker.createNetwork(networkRequest(want.spec)).catch(async (thrown: unknown) => {
          throw await withHolder(docker, want.spec, thrown);
        });
      }),
    remove: (gone) =>
      eachGone(gone, async ({ seen: { fact } }) => {
        if (!fact.ours) return;
        await docker.removeNetwork(fact.info.Id).catch((thrown: unknown) => {
          if (!(thrown instanceof AgentError) || thrown.code !== 'EngineRefused') throw thrown;
          throw new AgentError({
            code: 'NetworkInUse',
            phase: 'apply',
            message: `network ${fact.info.Name} is still in use: ${thrown.message}; disconnect what is not fairlead's`,
          });
        });
      }),
  };
}

/** The request `docker compose` makes. */
export const networkRequest = (spec: NetworkSpec): NetworkRequest => ({
  Name: spec.name,
  CheckDuplicate: true,
  Driver: spec.driver,
  Internal: spec.internal,
  ...(spec.attachable ? { Attachable: true } : {}),
  ...(spec.ipv4 === false ? { EnableIPv4: false } : {}),
  ...(spec.ipv6 === null ? {} : { EnableIPv6: spec.ipv6 }),
  Options: spec.driverOptions,
  ...(spec.ipam.driver || spec.ipam.config.length > 0
    ? {
        IPAM: {
          ...(spec.ipam.driver ? { Driver: spec.ipam.driver } : {}),
          Config: spec.ipam.config.map(pool),
        } as NonNullable<NetworkRequest['IPAM']>,
      }
    : {}),
  Labels: {
    ...spec.labels,
    [NETWORK]: spec.key,
    [PROJECT]: spec.project,
    'com.docker.compose.version': COMPOSE_VERSION,
  },
});

const pool = ({ subnet, range, gateway, aux }: NetworkSpec['ipam']['config'][number]) => ({
  ...(subnet ? { Subnet: subnet } : {}),
  ...(range ? { IPRange: range } : {}),
  ...(gateway ? { Gateway: gateway } : {}),
  ...(Object.keys(aux).length > 0 ? { AuxiliaryAddresses: aux } : {}),
});

/** Says which network has the subnet, where one has. */
async function withHolder(docker: Docker, { ipam }: NetworkSpec, thrown: unknown): Promise<unknown> {
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

/** Of two subnets such as `10.1.0.0/16` one holds the other. */
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

/** Takes off the containers of this project, which are connected again as services, and removes it. */
async function clear(docker: Docker, spec: NetworkSpec, id: string): Promise<void> {
  for (const container of await docker.containers())
    if (
      container.Labels[PROJECT] === spec.project &&
      Object.values(container.NetworkSettings?.Networks ?? {}).some((n) => n.NetworkID === id)
    )
      await docker.disconnect(id, container.Id);
  await docker.removeNetwork(id);
}

const missing = (spec: NetworkSpec) =>
  new AgentError({
    code: 'NetworkMissing',
    phase: 'apply',
    message: `network ${spec.name} is declared as external and does not exist on this host; make it with \`docker network create ${spec.name}\`, or remove \`external\``,
  });

function diff({ spec }: Desired<NetworkSpec>, seen: Seen<NetworkFact> | undefined): Change {
  if (seen === undefined) return { op: 'create', why: [{ field: 'state', from: 'missing', to: spec.name }] };
  if (spec.external) return { op: 'none' };
  const { info } = seen.fact;
  const why: Reason[] = [];
  const shown = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value ?? 'none'));
  const compare = (field: string, from: unknown, to: unknown) => {
    if (shown(from) !== shown(to)) why.push({ field, from: shown(from), to: shown(to) });
  };
  compare('name', info.Name, spec.name);
  compare('driver', info.Driver, spec.driver);
  compare('internal', info.Internal, spec.internal);
  compare('attachable', info.Attachable, spec.attachable);
  const v4 = (info as { EnableIPv4?: boolean }).EnableIPv4 ?? true;
  if (spec.ipv4 !== null) compare('enable_ipv4', v4, spec.ipv4);
  if (spec.ipv6 !== null) compare('enable_ipv6', info.EnableIPv6, spec.ipv6);
  compareMaps(compare, 'driver_opts', info.Options ?? {}, spec.driverOptions);
  const labels = Object.entries(info.Labels ?? {}).filter(([key]) => !key.startsWith('com.docker.compose.'));
  compareMaps(compare, 'labels', Object.fromEntries(labels), spec.labels);
  for (const [i, want] of spec.ipam.config.entries()) {
    const has = info.IPAM?.Config?.[i];
    const { subnet, range, gateway, aux } = want;
    if (subnet) compare('ipam.subnet', has?.Subnet, subnet);
    if (range) compare('ipam.ip_range', (has as { IPRange?: string } | undefined)?.IPRange, range);
    if (gateway) compare('ipam.gateway', has?.Gateway, gateway);
    const { AuxiliaryAddresses: known } = (has ?? {}) as { AuxiliaryAddresses?: Record<string, string> };
    compareMaps(compare, 'ipam.aux_addresses', known ?? {}, aux);
  }
  return why.length > 0 ? { op: 'replace', why } : { op: 'none' };
}

function compareMaps(
  compare: (field: string, from: unknown, to: unknown) => void,
  field: string,
  from: Record<string, string>,
  to: Record<string, string>,
): void {
  for (const key of new Set([...Object.keys(from), ...Object.keys(to)])) compare(`${field}.${key}`, from[key], to[key]);
}

/** Somebody else made it, and it differs: a person decides. */
function hold({ id, spec }: Desired<NetworkSpec>, seen: Seen<NetworkFact> | undefined, change: Change): string | null {
  if (seen === undefined || seen.mark !== undefined || change.op === 'none' || spec.adopt === 'recreate') return null;
  return `network ${seen.fact.info.Name} was not made by fairlead and differs from ${id} in ${change.why.map((r) => r.field).join(', ')}; set x-fairlead.adopt: recreate, or run \`fairlead sync --adopt\`, to make it anew`;
}
