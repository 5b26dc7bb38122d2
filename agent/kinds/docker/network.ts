/** Docker networks of stacks. */

import type { NetworkSpec } from '../../compose/stack/model.ts';
import { difference } from '../../core/credentials/credentials.ts';
import { eachGone, eachWork } from '../../core/each.ts';
import type { Provider } from '../../core/provider.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Docker, NetworkInfo, NetworkRequest } from '../../system/docker/docker.ts';
import { networkNeeds, refuseTooNew } from './engine-version.ts';
import { COMPOSE_VERSION, locate, NETWORK, PROJECT } from './labels.ts';
import { refuseImpossibleChanges, replaceNetwork, subnetsOf, takeApart, withHolder } from './network-change.ts';

export interface NetworkFact {
  info: NetworkInfo;
  /** It carries this project's label. */
  ours: boolean;
}

export interface NetworkProviderOptions {
  docker: Docker;
  /** Whether fairlead created or adopted the resource: its containers are attached again; other containers are left alone. */
  owned(id: ResourceId): boolean;
}

export function createNetworkProvider({ docker, owned }: NetworkProviderOptions): Provider<NetworkSpec, NetworkFact> {
  /** All declared networks, from the last observation. */
  let declared: ReadonlySet<ResourceId> = new Set();
  return {
    kind: 'network',
    claims: (spec) =>
      spec.external
        ? [`uses:${spec.project}/${spec.name}`]
        : [`network:${spec.name}`, ...subnetsOf(spec).map((subnet) => `subnet:${subnet}`)],
    owns: (spec) => !spec.external,
    hold,
    diff,
    health: (_want, seen) =>
      seen ? { state: 'ok', message: '' } : { state: 'bad', message: 'the network does not exist' },
    async observe(ids, _signal, wants, { healthAlone = false } = {}) {
      if (wants && !healthAlone) declared = new Set(wants.keys());
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
    async prepare(work) {
      const tooNew = await refuseTooNew(docker, work, networkNeeds);
      const able = work.filter((one) => !tooNew.has(one.want.id));
      return new Map([...tooNew, ...(await refuseImpossibleChanges({ docker, owned, declared }, able))]);
    },
    release: (id, { fact }) => takeApart({ docker, owned }, locate(id)[0], fact.info).then(() => undefined),
    apply: (work) =>
      eachWork(work, async ({ change, want, seen }) => {
        if (change.op === 'none') return;
        const { spec } = want;
        if (spec.external) {
          // Another resource of the same commit may have created it meanwhile.
          if ((await docker.networks()).some(({ Name }) => Name === spec.name)) return;
          throw missing(spec);
        }
        const make = () =>
          docker.createNetwork(networkRequest(spec)).catch(async (thrown: unknown) => {
            throw await withHolder(docker, spec, thrown);
          });
        if (seen) await replaceNetwork({ docker, owned }, { project: spec.project, info: seen.fact.info, make });
        else await make();
      }),
    remove: (gone, _signal, report) =>
      eachGone(gone, async ({ id, seen: { fact } }) => {
        if (!fact.ours) {
          report?.(
            id,
            { field: 'network', to: `${fact.info.Name} stays on the host: fairlead did not make it` },
            'stays',
          );
          return;
        }
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

/** The request that `docker compose` would make. */
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

const missing = (spec: NetworkSpec) =>
  new AgentError({
    code: 'NetworkMissing',
    phase: 'apply',
    message: `network ${spec.name} is declared as external and does not exist on this host; make it with \`docker network create ${spec.name}\`, or remove \`external\``,
  });

function diff({ spec }: Desired<NetworkSpec>, seen: Seen<NetworkFact> | undefined): Change {
  // An external network is not created: fairlead waits for it.
  const op = spec.external ? 'update' : 'create';
  if (seen === undefined) return { op, why: [{ field: 'state', from: 'missing', to: spec.name }] };
  if (spec.external) return { op: 'none' };
  const { info } = seen.fact;
  const why: Reason[] = [];
  const shown = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value ?? 'none'));
  const compare = (field: string, from: unknown, to: unknown) => {
    if (shown(from) !== shown(to)) why.push(difference(field, { from, to }, shown));
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

/** Somebody else created it, and it differs, so an operator decides. */
function hold({ id, spec }: Desired<NetworkSpec>, seen: Seen<NetworkFact> | undefined, change: Change): string | null {
  if (seen === undefined || seen.mark !== undefined || change.op === 'none' || spec.adopt === 'recreate') return null;
  return `network ${seen.fact.info.Name} was not made by fairlead and differs from ${id} in ${change.why.map((r) => r.field).join(', ')}; set x-fairlead.adopt: recreate, or run \`fairlead sync --adopt\`, to recreate it`;
}
