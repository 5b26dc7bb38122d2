/** A service as the engine has it. */
import type { ServiceSpec } from '../compose/model.ts';
import type { Health } from '../core/provider.ts';
import type { ResourceId } from '../core/types.ts';
import type { Clock } from '../system/clock.ts';
import type { ContainerInfo, ContainerSummary, Docker, ImageConfig } from '../system/docker.ts';
import type { Moves } from './image-moves.ts';
import { HASH, locate, ONEOFF, PROJECT, SERVICE } from './labels.ts';
import type { Peer } from './service-request.ts';

export interface ServiceFact {
  info: ContainerInfo;
  /** What its image says; null where that is not needed, or the image is gone. */
  image: ImageConfig | null;
  /** Of which containers the image is another one by now. */
  moves: Moves;
  /** The containers of the project by service. */
  peers: ReadonlyMap<string, Peer>;
  /** Milliseconds since its last start; 0 while it does not run. */
  runningMs: number;
  /** Last lines of its output, where it is not well. */
  log: string;
  /** A container set aside by a replacement that was cut off. */
  parked: string | null;
  /** Only the parked container is there. */
  onlyParked: boolean;
}

export const PARKED = '-fairlead-old';
/** Without a healthcheck a container is well when it has run for so long (product contract, Settle). */
const STEADY_MS = 10_000;

interface Look {
  docker: Docker;
  clock: Clock;
  /** All containers of the engine. */
  all: readonly ContainerSummary[];
  id: ResourceId;
  moves: Moves;
  /** Hash of the declaration, where there is one: a container that carries it needs no comparison with its image. */
  hash: string | undefined;
}

export async function observeService({ docker, clock, all, id, moves, hash }: Look): Promise<ServiceFact | undefined> {
  const [project, service] = locate(id);
  const ours = all.filter(
    (c) => c.Labels[PROJECT] === project && c.Labels[SERVICE] === service && c.Labels[ONEOFF] !== 'True',
  );
  const parked = ours.find(isParked);
  const main = ours.find((c) => !isParked(c)) ?? parked;
  const info = main && (await docker.inspect(main.Id));
  if (info === undefined) return undefined;
  const runningMs = info.State.Running ? ageOf(clock.now().getTime() - Date.parse(info.State.StartedAt)) : 0;
  const unwell =
    info.State.Restarting ||
    (!info.State.Running && info.State.ExitCode !== 0) ||
    info.State.Health?.Status === 'unhealthy';
  const onlyParked = main === parked;
  const known = hash === undefined || info.Config.Labels?.[HASH] === hash;
  return {
    info,
    moves,
    image: known ? null : ((await docker.image(info.Image))?.config ?? null),
    peers: peersOf(all, project),
    runningMs,
    log: unwell ? await docker.logTail(info.Id) : '',
    parked: onlyParked ? null : (parked?.Id ?? null),
    onlyParked,
  };
}

/** Begun in the future: the clock was set back since. That must not be waited for until its date comes again. */
const ageOf = (ms: number): number => (ms < -1_000 ? STEADY_MS : Math.max(0, ms));

const isParked = (c: ContainerSummary) => c.Names.some((n) => n.endsWith(PARKED));

export const peersOf = (all: readonly ContainerSummary[], project: string): Map<string, Peer> =>
  new Map(
    all
      .filter((c) => c.Labels[PROJECT] === project && c.Labels[ONEOFF] !== 'True' && !isParked(c))
      .map((c) => [c.Labels[SERVICE] ?? '', { id: c.Id, name: (c.Names[0] ?? '').replace(/^\//, '') }]),
  );

export const stateOf = (info: ContainerInfo): string =>
  info.State.Status === 'exited' ? `exited (${info.State.ExitCode})` : info.State.Status;

export const isCompleted = (spec: ServiceSpec, info: ContainerInfo): boolean =>
  info.State.Status === 'exited' &&
  info.State.ExitCode === 0 &&
  (spec.restart.name === 'no' || spec.restart.name === 'on-failure');

export function healthOf(spec: ServiceSpec, fact: ServiceFact | undefined): Health {
  if (fact === undefined) return { state: 'bad', message: 'there is no container' };
  const { info, log, runningMs } = fact;
  const { State: state } = info;
  const tail = log ? `; its last lines: ${log}` : '; it printed nothing';
  if (isCompleted(spec, info)) return { state: 'ok', message: '' };
  if (state.Restarting)
    return { state: 'bad', message: `keeps restarting, last exit code ${state.ExitCode}${memory(info)}${tail}` };
  if (!state.Running)
    return { state: 'bad', message: `${stateOf(info)}${memory(info)}${state.Error ? `: ${state.Error}` : ''}${tail}` };
  const status = state.Health?.Status;
  if (status === 'healthy') return { state: 'ok', message: '' };
  if (status === 'unhealthy') return { state: 'bad', message: `its healthcheck fails${probe(info)}${tail}` };
  if (status === 'starting') return { state: 'wait', message: 'its healthcheck has not passed yet' };
  return runningMs >= STEADY_MS
    ? { state: 'ok', message: '' }
    : { state: 'wait', message: `has run for ${Math.round(runningMs / 1000)} of ${STEADY_MS / 1000} s` };
}

const memory = ({ State, HostConfig }: ContainerInfo): string =>
  State.OOMKilled
    ? `, out of memory${HostConfig.Memory ? ` at its limit of ${Math.round(HostConfig.Memory / 2 ** 20)} MiB; raise mem_limit` : ''}`
    : '';

/** What the healthcheck itself said last. */
function probe({ State }: ContainerInfo): string {
  const last = State.Health?.Log?.at(-1) as { ExitCode?: number; Output?: string } | undefined;
  if (last === undefined) return '';
  const output = (last.Output ?? '').trim().replaceAll('\n', ' | ').slice(-200);
  return ` (exit code ${last.ExitCode ?? '?'}${output ? `: ${output}` : ''})`;
}
