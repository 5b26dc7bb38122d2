/** Removes services for good: dependents first, with the anonymous volumes that they took over. */
import type { Gone, Work } from '../../../core/provider.ts';
import type { Reason, ResourceId } from '../../../core/types.ts';
import { type AgentError, asAgentError } from '../../../errors.ts';
import type { ContainerInfo, Docker } from '../../../system/docker/docker.ts';
import { sideBySide } from '../../../system/side-by-side.ts';
import { stop, type Tools } from '../../container/container.ts';
import { ANONYMOUS, type ServiceFact } from '../../container/fact.ts';
import { removeLeftHooks } from '../../container/pre-start.ts';
import { DEPENDS_ON, locate, MOVED } from '../../docker/labels.ts';

/** Maximum number of concurrent removals: containers may take their time to end. */
const WIDTH = 8;

/** @param report receives the results of hooks @returns failures by id */
export async function removeServices(
  toolsFor: (report: Work['report']) => Tools,
  gone: readonly Gone<ServiceFact>[],
  report?: (id: ResourceId, note: Reason) => void,
): Promise<Map<ResourceId, AgentError>> {
  const failures = new Map<ResourceId, AgentError>();
  for (const group of inReverse(gone))
    await sideBySide(group, WIDTH, async ({ id, seen }) => {
      try {
        const tools = toolsFor(report && ((note) => report(id, note)));
        await removeService(tools, seen.fact);
        await removeLeftHooks(tools, ...locate(id));
      } catch (thrown) {
        failures.set(id, asAgentError(thrown, { code: 'RemoveFailed', phase: 'apply', resource: id }));
      }
    });
  return failures;
}

async function removeService(tools: Tools, { replicas, fresh, parked, failed }: ServiceFact): Promise<void> {
  const all = [...replicas, ...fresh, ...parked, ...failed];
  for (const { info } of all) {
    await stop(tools, info);
    await tools.docker.remove(info.Id, { volumes: true });
  }
  for (const { info } of all) await removeMoved(tools.docker, info);
}

/** Docker treats a volume that was taken over as a named one, and keeps it when its container is removed. */
export async function removeMoved(docker: Docker, { Config: { Labels } }: ContainerInfo): Promise<void> {
  const names = (Labels?.[MOVED] ?? '').split(',').filter((name) => ANONYMOUS.test(name));
  if (names.length === 0) return;
  // Somebody else may have mounted it by its name.
  const mounts = (await docker.containers()).flatMap((c) => c.Mounts.map((m) => m.Name));
  for (const name of names) if (!mounts.includes(name)) await docker.removeVolume(name);
}

/** Groups of services that can be removed concurrently: nothing that is removed later needs them. Pure. */
export function inReverse<G extends Gone<ServiceFact>>(gone: readonly G[]): G[][] {
  const groups: G[][] = [];
  let left = [...gone];
  while (left.length > 0) {
    const needed = new Set(left.flatMap(needs));
    const free = left.filter(({ id }) => !needed.has(id));
    // A cycle of containers, created by hand, must not block the removal.
    const group = free.length > 0 ? free : left;
    groups.push(group);
    left = left.filter((one) => !group.includes(one));
  }
  return groups;
}

/** The label's format is `db:service_started:false,…`. */
function needs({ id, seen }: Gone<ServiceFact>): string[] {
  const [project] = locate(id);
  const said = seen.fact.replicas[0]?.info.Config.Labels?.[DEPENDS_ON] ?? '';
  return said
    .split(',')
    .map((part) => `service:${project}/${part.split(':')[0]}`)
    .filter((other) => other !== id);
}
