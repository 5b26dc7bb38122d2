/** Finds names and ports that somebody else uses, before any old container is changed for a new one that needs them. */
import type { PortSpec, ServiceSpec } from '../../../compose/stack/model.ts';
import type { Work } from '../../../core/provider.ts';
import type { ResourceId } from '../../../core/types.ts';
import { AgentError } from '../../../errors.ts';
import type { ContainerSummary, Docker } from '../../../system/docker/types.ts';
import { memberOf, type ServiceFact } from '../../container/fact.ts';
import { PROJECT, SERVICE } from '../../docker/labels.ts';

export interface TakenOptions {
  /** Whether fairlead created or adopted the resource: the same run may release what its containers use. */
  owned(id: ResourceId): boolean;
  /** `tcp/80` for every port on which a process of this host listens. */
  listening(): Promise<ReadonlySet<string>>;
}

type ServiceWork = Work<ServiceSpec, ServiceFact>;
type Bindings = Record<string, { HostIp?: string; HostPort?: string }[] | null>;

const nameOf = ({ Names, Id }: ContainerSummary): string => (Names[0] ?? Id).replace(/^\//, '');
const isEverywhere = (ip: string): boolean => ['', '0.0.0.0', '::'].includes(ip);

/** @returns failures by id, for services that have containers already */
export async function refuseTaken(
  docker: Docker,
  { owned, listening }: TakenOptions,
  work: readonly ServiceWork[],
): Promise<Map<ResourceId, AgentError>> {
  const failures = new Map<ResourceId, AgentError>();
  const changing = work.filter(({ change, seen }) => change.op !== 'none' && seen !== undefined);
  if (changing.length === 0) return failures;
  const containers = await docker.containers();
  const strangers = containers.filter(({ Labels }) => !owned(`service:${Labels[PROJECT]}/${Labels[SERVICE]}`));
  const published = new Set(containers.flatMap(({ Ports }) => Ports.map((p) => `${p.Type}/${p.PublicPort}`)));
  for (const { want, seen, change } of changing) {
    const mine = new Set([...(seen?.fact.replicas ?? []), ...(seen?.fact.parked ?? [])].map(({ info }) => info.Id));
    const others = strangers.filter(({ Id }) => !mine.has(Id));
    const has = new Set((seen?.fact.replicas ?? []).flatMap(({ info }) => portsOf(info.HostConfig.PortBindings)));
    const asked = change.op === 'replace' ? want.spec.ports : [];
    const fresh = asked.filter(
      ({ protocol, published: port }) => /^[1-9]\d*$/.test(port) && !has.has(`${protocol}/${port}`),
    );
    const problem =
      takenName(want.spec, others) ?? takenPort(fresh, others) ?? (await takenByProgram(fresh, published, listening));
    if (problem === null) continue;
    const { code, why } = problem;
    const message = `${why}; the running container stays until that is free`;
    failures.set(want.id, new AgentError({ code, phase: 'prepare', resource: want.id, message }));
  }
  return failures;
}

interface Taken {
  code: 'NameConflict' | 'PortInUse';
  why: string;
}

function takenName(spec: ServiceSpec, others: readonly ContainerSummary[]): Taken | null {
  for (let number = 1; number <= spec.replicas; number++) {
    const { containerName } = memberOf(spec, number);
    const holder = others.find(({ Names }) => Names.includes(`/${containerName}`));
    if (holder)
      return {
        code: 'NameConflict',
        why: `container name ${containerName} is taken by ${holder.Id.slice(0, 12)} (${holder.Image}), which is not fairlead's and is left alone; rename one of them`,
      };
  }
  return null;
}

function takenPort(ports: readonly PortSpec[], others: readonly ContainerSummary[]): Taken | null {
  for (const { protocol, published, hostIp } of ports) {
    const holder = others.find(({ Ports }) =>
      Ports.some(
        ({ Type, PublicPort, IP = '' }) =>
          Type === protocol &&
          PublicPort === Number(published) &&
          (IP === hostIp || isEverywhere(IP) || isEverywhere(hostIp)),
      ),
    );
    if (holder)
      return {
        code: 'PortInUse',
        why: `port ${published}/${protocol} is taken; container ${nameOf(holder)} (${holder.Image}) has it`,
      };
  }
  return null;
}

/** A port on which Docker itself listens belongs to one of its containers. */
async function takenByProgram(
  ports: readonly PortSpec[],
  published: ReadonlySet<string>,
  listening: TakenOptions['listening'],
): Promise<Taken | null> {
  const asked = ports.filter(
    ({ protocol, published: port, hostIp }) => isEverywhere(hostIp) && !published.has(`${protocol}/${port}`),
  );
  if (asked.length === 0) return null;
  const taken = await listening();
  const found = asked.find(({ protocol, published: port }) => taken.has(`${protocol}/${port}`));
  if (found === undefined) return null;
  return {
    code: 'PortInUse',
    why: `port ${found.published}/${found.protocol} is taken; a program of the host has it (see \`ss -ltnup\`)`,
  };
}

const portsOf = (bindings: unknown): string[] =>
  Object.entries((bindings ?? {}) as Bindings).flatMap(([key, list]) =>
    (list ?? []).map(({ HostPort = '' }) => `${key.split('/')[1] ?? 'tcp'}/${HostPort}`),
  );
