/** Finds the owner of a port that the Docker engine refuses. */
import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import type { PortSpec, ServiceSpec } from '../../compose/stack/model.ts';
import { AgentError } from '../../errors.ts';
import type { ContainerSummary, Docker } from '../../system/docker/docker.ts';
import { refusedPort } from '../../system/docker/engine-words.ts';

/** Adds the owner to the error of a refused port; returns other errors unchanged. */
export async function withPortOwner(docker: Docker, spec: ServiceSpec, thrown: unknown): Promise<unknown> {
  if (!(thrown instanceof AgentError) || thrown.code !== 'PortInUse') return thrown;
  return portRefused(thrown.message, spec.ports, await docker.containers());
}

/**
 * If Docker refuses a port that no container uses, Docker itself is at fault: Docker 26.1 keeps the ports of a
 * container that a power cut ended during its start (moby/libnetwork#1790). Pure.
 * @param said Docker's message
 * @param ports ports of the service that should start
 */
export function portRefused(
  said: string,
  ports: readonly PortSpec[],
  containers: readonly Pick<ContainerSummary, 'Names' | 'Image' | 'Ports'>[],
): AgentError {
  const { port, allocated } = refusedPort(said);
  const mine = ports.filter((p) => port === null || canTake(p, port));
  const isIt = (given: number | undefined) => (port === null ? mine.some((m) => canTake(m, given)) : given === port);
  const holder = containers.find((c) => c.Ports.some((p) => isIt(p.PublicPort)));
  if (holder)
    return refused('PortInUse', `${said}; container ${holder.Names[0]?.replace(/^\//, '')} (${holder.Image}) has it`);
  if (mine.some((a, i) => mine.some((b, j) => i < j && overlap(a, b))))
    return refused('PortInUse', `${said}; the service itself publishes it twice`);
  if (port === null || !allocated)
    return refused('PortInUse', `${said}; a program of the host has it (see \`ss -ltnup\`)`);
  const [why] = said.split('; ');
  return refused(
    'EngineLostPort',
    `${why}, and no container has it: the engine has lost track of it, which a restart of docker.service mends; it is tried again until then`,
  );
}

const refused = (code: ReasonCode, message: string) => new AgentError({ code, phase: 'apply', message });

function canTake({ published }: PortSpec, port: number | undefined): boolean {
  const [first = '', last = first] = published.split('-');
  return first !== '' && port !== undefined && Number(first) <= port && port <= Number(last);
}

/** A port without an address is published on all addresses of both families. */
function overlap(a: PortSpec, b: PortSpec): boolean {
  if (a.protocol !== b.protocol) return false;
  const one = a.hostIp;
  const two = b.hostIp;
  if (one === two || one === '' || two === '') return true;
  return one.includes(':') === two.includes(':') && [one, two].some((ip) => ip === '0.0.0.0' || ip === '::');
}
