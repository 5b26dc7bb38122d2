/** `order: start-first`: the new container is well beside the old one before the old one is stopped. */
import type { ServiceSpec } from '../../../compose/stack/model.ts';
import type { Desired } from '../../../core/types.ts';
import { create, setAside, type Tools } from '../../container/container.ts';
import { FAILED, memberOf, type Replica } from '../../container/fact.ts';
import { hooksOf, runPostStart } from '../../container/hooks.ts';
import { peersIn } from '../../container/listing.ts';
import { networkDifferences, updateLive } from '../../container/live.ts';
import { HASH } from '../../docker/labels.ts';
import { demandWell } from './settle.ts';

interface Place {
  old: Replica;
  parked: Replica | undefined;
  /** The new container of an earlier run that was interrupted. */
  fresh: Replica | undefined;
}

/**
 * @returns the new container's id
 * @throws AgentError if the new container does not become well; the old one was not touched then
 */
export async function replaceBeside(
  tools: Tools,
  want: Desired<ServiceSpec>,
  { old, parked, fresh }: Place,
  signal: AbortSignal,
): Promise<string> {
  const { docker } = tools;
  const spec = memberOf(want.spec, old.number);
  const goesOn = fresh?.info.State.Running === true && fresh.info.Config.Labels?.[HASH] === want.hash;
  if (fresh && !goesOn) await docker.remove(fresh.info.Id, { volumes: true });
  const id = fresh && goesOn ? fresh.info.Id : await create(tools, want, old.number, { beside: true });
  try {
    await demandWell(tools, want, id, signal);
    await takeNames(tools, want, spec, id, signal);
  } catch (thrown) {
    if (!signal.aborted) await discard(tools, spec, id);
    throw thrown;
  }
  await setAside(tools, spec, old, parked);
  await docker.rename(id, spec.containerName);
  return id;
}

/**
 * The Docker engine only sets a container's names when it is attached to a network, so the container is attached again.
 * Programs that keep its old address (a connection, a socket that listens on it) would hang; such a container is restarted.
 */
async function takeNames(
  tools: Tools,
  want: Desired<ServiceSpec>,
  spec: ServiceSpec,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const { docker } = tools;
  const info = await docker.inspect(id);
  const why = info ? networkDifferences(spec, info) : [];
  if (info === undefined || why.length === 0) return;
  const again = await tools.holdsAddress(info.State.Pid);
  if (again) await docker.stop(id, info.Config.StopTimeout ?? null);
  await updateLive(docker, spec, info, why, peersIn(await docker.containers(), spec.project));
  if (!again) return;
  await docker.start(id);
  await runPostStart(tools, id, hooksOf(info, spec).postStart);
  await demandWell(tools, want, id, signal);
}

/** If a failed change must not be tried again, the container stays as the record of it. */
async function discard({ docker }: Tools, spec: ServiceSpec, id: string): Promise<void> {
  if (spec.update.onFailure !== 'rollback') return docker.remove(id, { volumes: true });
  await docker.stop(id, null);
  await docker.rename(id, `${spec.containerName}${FAILED}`);
}
