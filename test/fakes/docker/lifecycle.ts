/** The life cycle of a container: start, end, restarts and healthcheck. */
import { assignAddresses, unplug } from './networks.ts';
import { freePorts, takePorts } from './ports.ts';
import { type Program, programOf } from './programs.ts';
import { conflict, refusal } from './refusals.ts';
import { emitContainerEvent, type FakeContainer, imageOf, type State } from './state.ts';

const SIGKILL_CODE = 137;
const FIRST_PAUSE_MS = 100;
const SECOND_NS = 1e9;
/** The Docker engine's defaults for a healthcheck. */
const INTERVAL_NS = 30 * SECOND_NS;
const RETRIES = 3;

/** After a pause; cancelled when the container is stopped or removed. */
function later(state: State, c: FakeContainer, ms: number, act: () => void): void {
  const callOff = state.clock.after(ms, () => {
    c.pending.delete(callOff);
    act();
  });
  c.pending.add(callOff);
}

function cancelTimers(c: FakeContainer): void {
  for (const callOff of c.pending) callOff();
  c.pending.clear();
}

const commandOf = ({ config: { Entrypoint, Cmd } }: FakeContainer): string[] => [
  ...[Entrypoint ?? []].flat(),
  ...(Cmd ?? []),
];

/** The kernel's error for an empty program file, as the Docker engine's runtime passes it on. */
const EMPTY_FILE: Program = { endsAfterMs: 50, code: 255, says: 'exec format error' };

const programIn = (state: State, c: FakeContainer, argv: readonly string[]): Program =>
  isBroken(state, c) ? EMPTY_FILE : (imageOf(state, c.imageId)?.program ?? programOf)(argv);

/** @throws the Docker engine's error if a port, a network or another container's namespace prevents the start */
export function startContainer(state: State, c: FakeContainer): void {
  if (c.status === 'dead') throw conflict('container is marked for removal and cannot be started');
  if (c.pid > 0) throw refusal(304, 'container already started', '');
  cancelTimers(c);
  try {
    joinOther(state, c);
    takePorts(state, c);
    assignAddresses(state, c);
  } catch (thrown) {
    freePorts(c);
    c.error =
      thrown instanceof Error ? thrown.message.replace(/^\(HTTP code \d+\) [^-]*- /, '').trim() : String(thrown);
    c.exitCode = 128;
    throw thrown;
  }
  run(state, c);
}

function joinOther(state: State, c: FakeContainer): void {
  const [, ref] = /^container:(.*)$/.exec(c.host.NetworkMode ?? '') ?? [];
  if (ref === undefined) return;
  const other = state.containers.get(ref) ?? [...state.containers.values()].find((o) => o.name === ref);
  if (other === undefined) throw refusal(404, 'no such container', `No such container: ${ref}`);
  if (other.pid === 0) throw conflict(`cannot join network of a non running container: ${other.id}`);
}

function run(state: State, c: FakeContainer): void {
  c.status = 'running';
  c.pid = 1_000 + state.containers.size;
  c.exitCode = 0;
  c.error = '';
  c.startedAt = state.clock.now().getTime();
  const program = programIn(state, c, commandOf(c));
  if (program.says) c.log.push(program.says);
  if (program.endsAfterMs !== undefined) later(state, c, program.endsAfterMs, () => ended(state, c, program.code));
  beginProbes(state, c);
  emitContainerEvent(state, c, 'start');
}

function beginProbes(state: State, c: FakeContainer): void {
  const check = c.config.Healthcheck;
  const [how] = check?.Test ?? [];
  c.failedProbes = 0;
  c.health = check === undefined || how === undefined || how === 'NONE' ? null : 'starting';
  if (c.health === null || check === undefined) return;
  const { Interval, StartInterval, StartPeriod = 0, Retries } = check;
  const began = state.clock.monotonic();
  const probe = () => {
    const isStarting = c.health === 'starting' && state.clock.monotonic() - began < StartPeriod / 1e6;
    const argv = how === 'CMD-SHELL' ? ['sh', '-c', check.Test?.[1] ?? ''] : (check.Test ?? []).slice(1);
    const before = c.health;
    if (programIn(state, c, argv).code === 0) {
      c.failedProbes = 0;
      c.health = 'healthy';
    } else if (!isStarting && ++c.failedProbes >= (Retries || RETRIES)) c.health = 'unhealthy';
    if (c.health !== before) emitContainerEvent(state, c, `health_status: ${c.health}`);
    next();
  };
  const next = () => {
    const isStarting = c.health === 'starting' && StartPeriod > 0;
    later(state, c, ((isStarting && StartInterval) || Interval || INTERVAL_NS) / 1e6, probe);
  };
  next();
}

/** Its process has ended; its restart policy decides what follows. */
export function ended(state: State, c: FakeContainer, code: number): void {
  halt(state, c, code);
  const { Name = 'no', MaximumRetryCount = 0 } = c.host.RestartPolicy ?? {};
  const again =
    Name === 'always' ||
    Name === 'unless-stopped' ||
    (Name === 'on-failure' && code !== 0 && (MaximumRetryCount === 0 || c.restarts < MaximumRetryCount));
  if (!again) return;
  c.status = 'restarting';
  later(state, c, FIRST_PAUSE_MS * 2 ** Math.min(c.restarts, 9), () => {
    c.restarts++;
    try {
      startContainer(state, c);
    } catch {
      c.status = 'exited';
    }
  });
}

/** The host lost power and boots: a Docker engine starts the containers whose policy wants them always running. */
export function rebooted(state: State, c: FakeContainer): void {
  if (c.pid === 0 && c.status !== 'restarting') return;
  halt(state, c, SIGKILL_CODE);
  c.restarts = 0;
  if (['always', 'unless-stopped'].includes(c.host.RestartPolicy?.Name ?? '')) startContainer(state, c);
}

/** Its program, a file of its image, is empty. */
export function isBroken(state: State, c: FakeContainer): boolean {
  const image = imageOf(state, c.imageId);
  return image !== undefined && !state.layers.isWhole(image);
}

/** Ends everything that it does. */
function halt(state: State, c: FakeContainer, code: number): void {
  cancelTimers(c);
  const ran = c.pid > 0;
  freePorts(c);
  if (ran) unplug(state, c);
  c.pid = 0;
  c.status = 'exited';
  c.exitCode = code;
  c.finishedAt = state.clock.now().getTime();
  c.health = c.health === null ? null : 'unhealthy';
  if (ran) emitContainerEvent(state, c, 'die', { exitCode: String(code) });
}

/** Stopped by somebody: its restart policy does not apply. */
export function stopContainer(state: State, c: FakeContainer, code = SIGKILL_CODE): void {
  if (c.pid === 0 && c.status !== 'restarting') throw refusal(304, 'container already stopped', '');
  halt(state, c, code);
  c.restarts = 0;
  emitContainerEvent(state, c, 'stop');
}

/** Removed, running or not. */
export function forget(state: State, c: FakeContainer): void {
  if (c.pid > 0 || c.status === 'restarting') halt(state, c, SIGKILL_CODE);
  cancelTimers(c);
  if (c.isBusy) {
    c.status = 'dead';
    throw refusal(
      500,
      'server error',
      `container ${c.id}: driver failed to remove root filesystem: device or resource busy`,
    );
  }
  state.containers.delete(c.id);
  emitContainerEvent(state, c, 'destroy');
}
