/** Whether a service, and each of its containers, is well. Pure. */

import { millisecondsOf } from '../../compose/spec/units.ts';
import type { ServiceSpec } from '../../compose/stack/model.ts';
import { TRY_AGAIN } from '../../core/exit-codes.ts';
import type { Health } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { ContainerInfo } from '../../system/docker/docker.ts';
import { HASH } from '../docker/labels.ts';
import { isCompleted, isGivenUp, nameOf, type Replica, type ServiceFact, stateOf } from './fact.ts';

/** A container without a healthcheck is well after it has run this long (docs/operations.md, "A commit that does not settle"). */
const STEADY_MS = 10_000;
const OK: Health = { state: 'ok', message: '' };

export function healthOf({ id, spec, hash }: Desired<ServiceSpec>, fact: ServiceFact | undefined): Health {
  const replicas = (fact?.replicas ?? []).slice(0, spec.replicas);
  const refused = fact && refusedBefore(spec, hash, fact);
  if (refused)
    return {
      state: 'bad',
      message: `the last change was taken back: ${replicaHealth(spec, refused).message}; it is tried again when it is declared otherwise, or when ${nameOf(refused.info)} is removed`,
    };
  if (spec.replicas === 0) return OK;
  if (fact?.underway) return { state: 'wait', message: `somebody is putting ${fact.underway} in its place` };
  const there = replicas.length + (fact?.completed.size ?? 0);
  if (there === 0) return missing('there is no container');
  if (there < spec.replicas) return missing(`only ${replicas.length} of ${spec.replicas} containers are there`);
  const all = replicas.map((replica) => ({ replica, health: replicaHealth(spec, replica) }));
  const of = (state: Health['state']) => all.filter(({ health }) => health.state === state);
  const worst = !tolerated(spec, of('bad').length) ? of('bad')[0] : of('wait')[0];
  if (worst === undefined)
    return fact ? { ...OK, note: detachedNote(fact) ?? outdatedNote(fact) ?? strayNote(id, fact) } : OK;
  const { message } = worst.health;
  return { ...worst.health, message: spec.replicas === 1 ? message : `${nameOf(worst.replica.info)} ${message}` };
}

/** Restarting it is no repair of a declaration, and it may be at work on what is gone. */
function detachedNote({ detached, replicas }: ServiceFact): Health['note'] {
  if (detached.length === 0) return undefined;
  const names = replicas.map(({ info }) => nameOf(info)).join(' ');
  const message = `${detached.join(', ')} is a directory that was deleted and made again on this host, and its container still sees the deleted one: \`docker restart ${names}\``;
  return { code: 'RestartNeeded', message };
}

/** `on_change: none`: when it is restarted is somebody's own choice. */
function outdatedNote({ outdated, replicas }: ServiceFact): Health['note'] {
  if (outdated.length === 0) return undefined;
  const names = replicas.map(({ info }) => nameOf(info)).join(' ');
  const message = `${outdated.join(', ')} changed, and its container sees the old content until it is restarted, which on_change: none leaves to you: \`docker restart ${names}\``;
  return { code: 'RestartNeeded', message };
}

/** Nothing is wrong with the service, and somebody must decide about what is not its own. */
function strayNote(id: ResourceId, { strays, replicas }: ServiceFact): Health['note'] {
  if (strays.length === 0) return undefined;
  const names = strays.map(({ info }) => `${nameOf(info)} (${stateOf(info)})`).join(', ');
  const own = replicas.map(({ info }) => nameOf(info)).join(', ');
  const [first] = strays.map(({ info }) => nameOf(info));
  return {
    code: 'StrayContainer',
    message: `${names} ${strays.length > 1 ? 'have' : 'has'} the labels of ${id}, whose container is ${own || 'another one'}; it is left alone: remove it with \`docker rm ${first}\` if nobody needs it`,
  };
}

/** It may never have been made; after a change that went through, somebody took it away. */
const missing = (message: string): Health => ({ state: 'bad', code: 'ContainerMissing', message });

/** `max_failure_ratio`: so many of its containers may be unwell. */
export const tolerated = ({ replicas, update }: ServiceSpec, bad: number): boolean =>
  bad === 0 || (bad < replicas && bad / replicas <= update.maxFailureRatio);

/** The container that was made from this very declaration and taken back, where `failure_action: rollback` asked for that. */
export const refusedBefore = (spec: ServiceSpec, hash: string, fact: ServiceFact): Replica | undefined =>
  spec.update.onFailure === 'rollback'
    ? fact.failed.find(({ info }) => info.Config.Labels?.[HASH] === hash && !fact.moves.has(info.Id))
    : undefined;

export function replicaHealth(spec: ServiceSpec, replica: Replica): Health {
  const { info, log, runningMs, interrupted } = replica;
  const { State: state } = info;
  const tail = log ? `; its last lines: ${log}` : '; it printed nothing';
  if (isCompleted(spec, replica)) return OK;
  if (interrupted) {
    const message = `${stateOf(info)} when the engine was stopped; it is started again`;
    return { state: 'bad', code: 'EngineRestarted', message };
  }
  // `dead` is what a removal makes of it in between, or where something keeps it from its end.
  if (state.Status === 'removing' || state.Status === 'dead') return missing('it is being removed');
  if (state.Restarting) {
    const message = `keeps restarting, last exit code ${state.ExitCode}${memory(info)}${tail}`;
    return { state: 'bad', heals: true, message };
  }
  if (isGivenUp(replica)) {
    const often = `after ${info.RestartCount} ${info.RestartCount === 1 ? 'restart' : 'restarts'}`;
    const message = `the engine gave up ${often}, as \`restart\` says, last exit code ${state.ExitCode}${memory(info)}${tail}; \`docker start ${nameOf(info)}\` or another commit starts it again`;
    return { state: 'bad', message };
  }
  if (!state.Running) {
    const message = `${stateOf(info)}${memory(info)}${state.Error ? `: ${state.Error}` : ''}${tail}`;
    return { state: 'bad', message, ...(state.ExitCode === TRY_AGAIN ? { code: 'TemporaryFailure' as const } : {}) };
  }
  // Often beneath a backup, so that it is told and not undone.
  if (state.Paused) {
    const message = `is frozen by \`docker pause\`; \`docker unpause ${nameOf(info)}\` lets it go on`;
    return { state: 'bad', code: 'ContainerPaused', heals: true, message };
  }
  const status = state.Health?.Status;
  if (status === 'healthy') return OK;
  if (status === 'unhealthy')
    return { state: 'bad', heals: true, message: `its healthcheck fails${probe(info)}${tail}` };
  if (status === 'starting') return { state: 'wait', message: 'its healthcheck has not passed yet' };
  const steady = spec.update.monitor === '' ? STEADY_MS : millisecondsOf(spec.update.monitor);
  return runningMs >= steady
    ? OK
    : {
        state: 'wait',
        steadies: true,
        message: `has run for ${Math.round(runningMs / 1000)} of ${steady / 1000} s`,
      };
}

/** What an engine takes for a healthcheck that does not say: nanoseconds. */
const INTERVAL = 30e9;
const RETRIES = 3;

/** start_period + (retries + 1) × (interval + timeout) in ms; null if the container has no healthcheck. */
export function healthcheckMs({ Config: { Healthcheck: check } }: ContainerInfo): number | null {
  const [how] = check?.Test ?? [];
  if (check === undefined || how === 'NONE') return null;
  const { StartPeriod = 0, Interval, Timeout, Retries } = check;
  return (StartPeriod + ((Retries || RETRIES) + 1) * ((Interval || INTERVAL) + (Timeout || INTERVAL))) / 1e6;
}

/** The longest bound that the containers of a service have by their healthchecks, in ms; null if there is none. */
export function healthcheckBoundMs(fact: ServiceFact | undefined): number | null {
  const bounds = (fact?.replicas ?? []).flatMap(({ info }) => healthcheckMs(info) ?? []);
  return bounds.length > 0 ? Math.max(...bounds) : null;
}

/** 128 and SIGKILL: the kernel's way to end what has no memory left. */
const KILLED = 137;

/**
 * Whether want of memory ended it. Where the kernel removes the control group before the engine has read its counter, the
 * engine never learns of it (one such end in six, measured): then the signal and the limit are all that is known.
 */
function memory({ State, HostConfig }: ContainerInfo): string {
  const limit = HostConfig.Memory
    ? ` at its limit of ${Math.round(HostConfig.Memory / 2 ** 20)} MiB; raise mem_limit`
    : '';
  if (State.OOMKilled) return `, out of memory${limit}`;
  if (State.ExitCode !== KILLED) return '';
  return limit
    ? `, killed by SIGKILL, as what is out of memory${limit}, unless somebody killed it`
    : ', killed by SIGKILL';
}

/** What the healthcheck itself said last. */
function probe({ State }: ContainerInfo): string {
  const last = State.Health?.Log?.at(-1) as { ExitCode?: number; Output?: string } | undefined;
  if (last === undefined) return '';
  const output = (last.Output ?? '').trim().replaceAll('\n', ' | ').slice(-200);
  return ` (exit code ${last.ExitCode ?? '?'}${output ? `: ${output}` : ''})`;
}
