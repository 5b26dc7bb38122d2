/** Waits until one container is well, or will not become so. */

import type { ReasonCode } from '../../../../manifests-schema/reasons.ts';
import { millisecondsOf } from '../../../compose/spec/units.ts';
import type { ServiceSpec } from '../../../compose/stack/model.ts';
import type { Desired } from '../../../core/types.ts';
import { AgentError } from '../../../errors.ts';
import type { Tools } from '../../container/container.ts';
import { nameOf, observeContainer, type Replica } from '../../container/fact.ts';
import { healthcheckMs, replicaHealth } from '../../container/health.ts';

const POLL_MS = 200;
const SLACK_MS = 30_000;

/** @throws AgentError `Unhealthy` (or a more specific code) with exit code and last lines; `Stopped` if the run is cancelled */
export async function demandWell(
  { docker, clock, inspections }: Pick<Tools, 'docker' | 'clock' | 'inspections'>,
  { spec, hash }: Desired<ServiceSpec>,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const began = clock.monotonic();
  for (;;) {
    const replica = await observeContainer({ docker, clock, inspections, hash }, id);
    if (replica === undefined) throw unwell('the new container is gone', 'ContainerMissing');
    const { state, heals, message, code } = replicaHealth(spec, replica);
    if (state === 'ok') return;
    const waitedMs = clock.monotonic() - began;
    const late = waitedMs > limitMs(spec, replica);
    if ((state === 'bad' && !heals) || late)
      throw unwell(
        `${nameOf(replica.info)} ${late ? `is not well after ${Math.round(waitedMs / 1000)} s: ` : ''}${message}`,
        code,
      );
    if (signal.aborted)
      throw new AgentError({
        code: 'Stopped',
        phase: 'apply',
        message: 'the agent was stopped meanwhile',
      });
    await clock.sleep(POLL_MS, signal);
  }
}

/** The bound of its healthcheck, or the time that it must have run; plus a margin for Docker. */
const limitMs = ({ update }: ServiceSpec, { info }: Replica): number =>
  ((info.State.Health === undefined ? null : healthcheckMs(info)) ?? millisecondsOf(update.monitor)) + SLACK_MS;

export const unwell = (message: string, code: ReasonCode = 'Unhealthy'): AgentError =>
  new AgentError({ code, phase: 'apply', message });
