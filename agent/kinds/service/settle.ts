/** Waits until one container is well, or will not become so. */

import type { ReasonCode } from '../../../manifests-schema/reasons.ts';
import { millisecondsOf } from '../../compose/spec/units.ts';
import type { ServiceSpec } from '../../compose/stack/model.ts';
import type { Desired } from '../../core/types.ts';
import { AgentError } from '../../errors.ts';
import type { Tools } from '../container/container.ts';
import { nameOf, observeContainer, type Replica } from '../container/fact.ts';
import { replicaHealth } from '../container/health.ts';

const POLL_MS = 200;
const SLACK_MS = 30_000;
/** What an engine takes for a healthcheck that does not say: nanoseconds. */
const INTERVAL = 30e9;
const RETRIES = 3;

/** @throws AgentError `Unhealthy` (or what else it is known to be) with exit code and last lines; `Stopped` when the run is to end */
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
    const { state, message, code } = replicaHealth(spec, replica);
    if (state === 'ok') return;
    const waitedMs = clock.monotonic() - began;
    const late = waitedMs > limitMs(spec, replica);
    if (state === 'bad' || late)
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

/** start_period + (retries + 1) × (interval + timeout), or the time to have run for; and some time for the engine. */
function limitMs({ update }: ServiceSpec, { info }: Replica): number {
  const check = info.Config.Healthcheck;
  if (info.State.Health === undefined || check === undefined) return millisecondsOf(update.monitor) + SLACK_MS;
  const { StartPeriod = 0, Interval, Timeout, Retries } = check;
  const round = (Interval || INTERVAL) + (Timeout || INTERVAL);
  return (StartPeriod + ((Retries || RETRIES) + 1) * round) / 1e6 + SLACK_MS;
}

export const unwell = (message: string, code: ReasonCode = 'Unhealthy'): AgentError =>
  new AgentError({ code, phase: 'apply', message });
