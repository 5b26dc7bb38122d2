/** `depends_on` with a condition: the start waits until it holds. */
import type { ServiceSpec } from '../compose/model.ts';
import { AgentError } from '../errors.ts';
import type { Clock } from '../system/clock.ts';
import type { ContainerInfo, Docker } from '../system/docker.ts';
import { PROJECT, SERVICE } from './labels.ts';

type Dependency = ServiceSpec['dependsOn'][number];
const POLL_MS = 500;
const LIMIT_MS = 300_000;

export async function waitForDependencies(
  { docker, clock }: { docker: Docker; clock: Clock },
  spec: ServiceSpec,
  signal: AbortSignal,
): Promise<void> {
  for (const dependency of spec.dependsOn.filter((d) => d.condition !== 'service_started')) {
    const deadline = clock.monotonic() + LIMIT_MS;
    for (;;) {
      const summary = (await docker.containers()).find(
        (c) => c.Labels[PROJECT] === spec.project && c.Labels[SERVICE] === dependency.service,
      );
      const info = summary && (await docker.inspect(summary.Id));
      const verdict = info ? judge(dependency, info) : 'wait';
      if (verdict === 'ok') break;
      if (verdict === 'bad' || clock.monotonic() > deadline || signal.aborted) throw unmet(dependency, info);
      await clock.sleep(POLL_MS, signal);
    }
  }
}

function judge({ condition }: Dependency, { State: state }: ContainerInfo): 'ok' | 'wait' | 'bad' {
  if (condition === 'service_completed_successfully') {
    if (state.Status !== 'exited') return 'wait';
    return state.ExitCode === 0 ? 'ok' : 'bad';
  }
  if (state.Health?.Status === 'healthy') return 'ok';
  return state.Health?.Status === 'starting' ? 'wait' : 'bad';
}

const unmet = ({ service, condition }: Dependency, info: ContainerInfo | undefined) =>
  new AgentError({
    code: 'DependencyNotReady',
    phase: 'apply',
    retry: true,
    message: `${service} did not become ${condition.replace('service_', '').replaceAll('_', ' ')}: it is ${info ? `${info.State.Status}${info.State.Health ? `, ${info.State.Health.Status}` : ''}` : 'missing'}`,
  });
