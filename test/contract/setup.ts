/** From a declaration in a manifest or a stack to a subject of the contract, through the agent's own loader. */
import { expect } from 'vitest';
import { kindOf } from '../../agent/core/id.ts';
import { predecessors } from '../../agent/core/order/graph.ts';
import type { Provider } from '../../agent/core/provider.ts';
import type { Desired, Kind, ResourceId } from '../../agent/core/types.ts';
import { createLoader } from '../../agent/engine/load/load.ts';
import { KINDS } from '../../agent/kinds/index.ts';
import { facts, keyedHash, sha256 } from '../unit/repo.ts';
import { bring, type Subject } from './contract.ts';
import type { Hands } from './hands.ts';

export interface Setup {
  id: ResourceId;
  files: Record<string, string>;
  changed: { files: Record<string, string>; field: string };
  drifts: (host: Hands) => Subject['drifts'];
  exists: (host: Hands) => Promise<boolean>;
  before?: (host: Hands) => Promise<unknown>;
  stays?: true;
  outage?: (host: Hands) => NonNullable<Subject['outage']>;
}

let commits = 0;
/** What the agent would load from these files of one host's directory. */
async function declare(
  providers: ReadonlyMap<Kind, Provider>,
  files: Record<string, string>,
): Promise<readonly Desired[]> {
  const load = createLoader({
    host: 'edge-1',
    fleet: 'default',
    labels: {},
    treeRoot: '/var/lib/fairlead/tree',
    facts,
    sha256,
    keyedHash,
    kinds: KINDS,
    providers,
  });
  const encoded = Object.entries(files).map(([name, text]): [string, Uint8Array] => [
    `hosts/edge-1/${name}`,
    new TextEncoder().encode(text),
  ]);
  const info = { ref: 'main', commit: String(commits++), author: '', subject: '', committedAt: '' };
  const loaded = await load({ info, hostPath: 'hosts/edge-1', hostExists: true, files: new Map(encoded) });
  expect(loaded.issues).toEqual([]);
  return loaded.resources;
}

/** Applies the dependencies of the resource, so that it can be applied itself. */
export async function subjectOn(host: Hands, setup: Setup): Promise<Subject> {
  await setup.before?.(host);
  const { providers } = host;
  const find = (all: readonly Desired[]): Desired => {
    const found = all.find((r) => r.id === setup.id);
    if (!found) throw new Error(`${setup.id} is not among ${all.map((r) => r.id).join(', ')}`);
    return found;
  };
  const providerOf = (id: ResourceId): Provider => {
    const found = providers.get(kindOf(id));
    if (!found) throw new Error(`no provider for ${id}`);
    return found;
  };
  const all = await declare(providers, setup.files);
  const before = predecessors(all);
  const needs = async (id: ResourceId): Promise<void> => {
    for (const other of before.get(id) ?? []) {
      await needs(other);
      const want = all.find((r) => r.id === other);
      if (want) await bring(providerOf(other), want);
    }
  };
  await needs(setup.id);
  return {
    provider: providerOf(setup.id),
    want: find(all),
    changed: { want: find(await declare(providers, setup.changed.files)), field: setup.changed.field },
    drifts: setup.drifts(host),
    exists: () => setup.exists(host),
    until: host.until,
    ...(setup.stays ? { stays: true } : {}),
    ...(setup.outage ? { outage: setup.outage(host) } : {}),
  };
}
