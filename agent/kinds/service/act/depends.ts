/** `depends_on` with a condition: the start waits until it holds. */
import type { ServiceSpec } from '../../../compose/stack/model.ts';
import { AgentError } from '../../../errors.ts';
import type { Clock } from '../../../system/clock.ts';
import type { ContainerInfo, ContainerSummary, Docker } from '../../../system/docker/docker.ts';
import type { Memory } from '../../container/fact.ts';
import { healthcheckMs } from '../../container/health.ts';
import { candidateOf, isAside } from '../../container/listing.ts';
import { ownOf } from '../../container/mine.ts';
import { isReplica, PROJECT, SERVICE } from '../../docker/labels.ts';

type Dependency = ServiceSpec['dependsOn'][number];
const POLL_MS = 500;
const LIMIT_MS = 300_000;

/** Waits for all containers of the dependencies. A dependency that is not required may fail, or be missing. */
export async function waitForDependencies(
  { docker, clock, memory }: { docker: Docker; clock: Clock; memory: Pick<Memory, 'completedOf' | 'containersOf'> },
  spec: ServiceSpec,
  signal: AbortSignal,
): Promise<void> {
  for (const dependency of spec.dependsOn.filter((d) => d.awaited)) {
    const deadline = clock.monotonic() + LIMIT_MS;
    for (;;) {
      const infos = await containersOf(docker, memory, spec.project, dependency.service);
      // The containers of a completed dependency may have been removed since.
      if (infos.length === 0 && hasCompleted(memory, spec.project, dependency)) break;
      const verdicts = infos.map((info) => judge(dependency, info, clock.now().getTime()));
      if (infos.length > 0 && verdicts.every((v) => v === 'ok')) break;
      const isLost = verdicts.includes('bad') || clock.monotonic() > deadline;
      if (isLost && !dependency.required) break;
      const culprit = infos.find((_, i) => verdicts[i] !== 'ok');
      if (isLost || signal.aborted) throw unmet(dependency, culprit);
      if (infos.length === 0 && !dependency.required) break;
      await clock.sleep(POLL_MS, signal);
    }
  }
}

const hasCompleted = (memory: Pick<Memory, 'completedOf'>, project: string, { service, condition }: Dependency) =>
  condition === 'service_completed_successfully' && memory.completedOf(`service:${project}/${service}`).length > 0;

async function containersOf(
  docker: Docker,
  memory: Pick<Memory, 'containersOf'>,
  project: string,
  service: string,
): Promise<ContainerInfo[]> {
  const recorded = memory.containersOf(`service:${project}/${service}`);
  const isRecorded = (id: string) => recorded.includes(id);
  // A container that was adopted by its name may have no labels of Compose.
  const isMember = ({ Id, Labels }: ContainerSummary) =>
    Labels[PROJECT] === undefined ? isRecorded(Id) : Labels[PROJECT] === project && Labels[SERVICE] === service;
  const ours = (await docker.containers()).filter((c) => isMember(c) && isReplica(c.Labels) && !isAside(c));
  const { mine } = ownOf(ours, candidateOf, { isRecorded });
  const infos = await Promise.all(mine.map((c) => docker.inspect(c.Id)));
  return infos.filter((info) => info !== undefined);
}

function judge({ condition, required }: Dependency, info: ContainerInfo, nowMs: number): 'ok' | 'wait' | 'bad' {
  const { State: state } = info;
  if (condition === 'service_completed_successfully') {
    if (state.Status !== 'exited') return 'wait';
    return state.ExitCode === 0 ? 'ok' : 'bad';
  }
  if (state.Health?.Status === 'healthy') return 'ok';
  if (state.Health?.Status === 'starting') return 'wait';
  // An unhealthy container may still become healthy soon after its start, within the bound of its healthcheck.
  const isYoung = nowMs - Date.parse(state.StartedAt) < (healthcheckMs(info) ?? 0);
  return required && state.Health !== undefined && state.Running && isYoung ? 'wait' : 'bad';
}

const unmet = ({ service, condition }: Dependency, info: ContainerInfo | undefined) =>
  new AgentError({
    code: 'DependencyNotReady',
    phase: 'apply',
    message: `${service} did not become ${condition.replace('service_', '').replaceAll('_', ' ')}: it is ${info ? `${info.State.Status}${info.State.Health ? `, ${info.State.Health.Status}` : ''}` : 'missing'}`,
  });
