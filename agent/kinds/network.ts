/** Docker networks of stacks. */
import type { NetworkSpec } from '../compose/model.ts';
import type { Provider } from '../core/provider.ts';
import type { Change, Desired, Reason, ResourceId, Seen } from '../core/types.ts';
import { AgentError } from '../errors.ts';
import type { Docker } from '../system/docker.ts';
import { COMPOSE_VERSION, locate, NETWORK, PROJECT } from './labels.ts';

export interface NetworkFact {
  id: string;
  name: string;
  driver: string;
  internal: boolean;
  /** It carries this project's label. */
  ours: boolean;
}

export function createNetworkProvider({ docker }: { docker: Docker }): Provider<NetworkSpec, NetworkFact> {
  const create = (spec: NetworkSpec) =>
    docker.createNetwork({
      Name: spec.name,
      CheckDuplicate: true,
      Driver: spec.driver,
      Internal: spec.internal,
      Options: spec.driverOptions,
      Labels: {
        ...spec.labels,
        [NETWORK]: spec.key,
        [PROJECT]: spec.project,
        'com.docker.compose.version': COMPOSE_VERSION,
      },
    });
  return {
    kind: 'network',
    claims: (spec) => [`network:${spec.name}`],
    diff,
    health: (_want, seen) =>
      seen ? { state: 'ok', message: '' } : { state: 'bad', message: 'the network does not exist' },
    async observe(ids) {
      const all = await docker.networks();
      const seen = new Map<ResourceId, Seen<NetworkFact>>();
      for (const id of ids) {
        const [project, key] = locate(id);
        const labelled = all.find((n) => n.Labels?.[PROJECT] === project && n.Labels?.[NETWORK] === key);
        const found = labelled ?? all.find((n) => n.Name === `${project}_${key}`);
        if (found)
          seen.set(id, {
            fact: {
              id: found.Id,
              name: found.Name,
              driver: found.Driver,
              internal: found.Internal,
              ours: labelled !== undefined,
            },
          });
      }
      return seen;
    },
    async apply({ change, want, seen }) {
      if (change.op === 'none') return;
      if (seen) await docker.removeNetwork(seen.fact.id);
      await create(want.spec);
    },
    async remove(_id, { fact }) {
      if (!fact.ours) return;
      await docker.removeNetwork(fact.id).catch((thrown: unknown) => {
        if (!(thrown instanceof AgentError) || thrown.code !== 'EngineRefused') throw thrown;
        throw new AgentError({
          code: 'NetworkInUse',
          phase: 'apply',
          retry: true,
          message: `network ${fact.name} is still in use: ${thrown.message}; disconnect what is not fairlead's`,
        });
      });
    },
  };
}

function diff({ spec }: Desired<NetworkSpec>, seen: Seen<NetworkFact> | undefined): Change {
  if (seen === undefined) return { op: 'create', why: [{ field: 'state', from: 'missing', to: spec.name }] };
  const { fact } = seen;
  const why: Reason[] = [];
  if (fact.name !== spec.name) why.push({ field: 'name', from: fact.name, to: spec.name });
  if (fact.driver !== spec.driver) why.push({ field: 'driver', from: fact.driver, to: spec.driver });
  if (fact.internal !== spec.internal)
    why.push({ field: 'internal', from: String(fact.internal), to: String(spec.internal) });
  return why.length > 0 ? { op: 'replace', why } : { op: 'none' };
}
