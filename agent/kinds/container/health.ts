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
      message: `the last update was rolled back: ${replicaHealth(spec, refused).message}; it is tried again when its declaration changes, or when ${nameOf(refused.info)} is removed`,
    };
  if (spec.replicas === 0) return OK;
  if (fact?.underway) return { state: 'wait', message: `somebody is replacing it by ${fact.underway}` };
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

/** Only a note: a restart would be no repair of the declaration, and the container may still use the deleted directory. */
function detachedNote({ detached, replicas }: ServiceFact): Health['note'] {
  if (detached.length === 0) return undefined;
  const names = replicas.map(({ info }) => nameOf(info)).join(' ');
  const message = `${detached.join(', ')} is a directory that was deleted and made again on this host, and its container still sees the deleted one: \`docker restart ${names}\``;
  return { code: 'RestartNeeded', message };
}

/** Only a note: with `on_change: none`, the operator decides when it is restarted. */
function outdatedNote({ outdated, replicas }: ServiceFact): Health['note'] {
  if (outdated.length === 0) return undefined;
  const names = replicas.map(({ info }) => nameOf(info)).join(' ');
  const message = `${outdated.join(', ')} changed, and its container sees the old content until it is restarted, which on_change: none leaves to you: \`docker restart ${names}\``;
  return { code: 'RestartNeeded', message };
}

/** The service itself is well, but somebody must decide about the foreign containers. */
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

/** It may never have been created, or somebody removed it after a successful change. */
const missing = (message: string): Health => ({ state: 'bad', code: 'ContainerMissing', message });

/** `max_failure_ratio`: this share of its containers may be unwell. */
export const tolerated = ({ replicas, update }: ServiceSpec, bad: number): boolean =>
  bad === 0 || (bad < replicas && bad / replicas <= update.maxFailureRatio);

/** The container of this declaration that was reverted because `failure_action: rollback` asked for that. */
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
  // `dead` is an intermediate state of a removal, or the state of a removal that is blocked.
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
  // Often intended during a backup, so it is reported and not undone.
  if (state.Paused) {
    const message = `is frozen by \`docker pause\`; \`docker unpause ${nameOf(info)}\` continues it`;
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

/** Docker's defaults for a healthcheck, interval in nanoseconds. */
const INTERVAL = 30e9;
const RETRIES = 3;

/** start_period + (retries + 1) × (interval + timeout) in ms; null if the container has no healthcheck. */
export function healthcheckMs({ Config: { Healthcheck: check } }: ContainerInfo): number | null {
  const [how] = check?.Test ?? [];
  if (check === undefined || how === 'NONE') return null;
  const { StartPeriod = 0, Interval, Timeout, Retries } = check;
  return (StartPeriod + ((Retries || RETRIES) + 1) * ((Interval || INTERVAL) + (Timeout || INTERVAL))) / 1e6;
}

/** The longest healthcheck bound of the service's containers, in ms; null if there is none. */
export function healthcheckBoundMs(fact: ServiceFact | undefined): number | null {
  const bounds = (fact?.replicas ?? []).flatMap(({ info }) => healthcheckMs(info) ?? []);
  return bounds.length > 0 ? Math.max(...bounds) : null;
}

/** 128 + SIGKILL: the kernel ends a process this way when memory runs out. */
const KILLED = 137;

/**
 * Whether it ran out of memory. If the kernel removes the control group before Docker has read its counter, Docker does
 * not report it (measured: one of six cases); then only the signal and the limit are known.
 */
function memory({ State, HostConfig }: ContainerInfo): string {
  const limit = HostConfig.Memory
    ? ` at its limit of ${Math.round(HostConfig.Memory / 2 ** 20)} MiB; raise mem_limit`
    : '';
  if (State.OOMKilled) return `, out of memory${limit}`;
  if (State.ExitCode !== KILLED) return '';
  return limit
    ? `, killed by SIGKILL, probably out of memory${limit}, unless somebody killed it`
    : ', killed by SIGKILL';
}

/** The last output of the healthcheck. */
function probe({ State }: ContainerInfo): string {
  const last = State.Health?.Log?.at(-1) as { ExitCode?: number; Output?: string } | undefined;
  if (last === undefined) return '';
  const output = (last.Output ?? '').trim().replaceAll('\n', ' | ').slice(-200);
  return ` (exit code ${last.ExitCode ?? '?'}${output ? `: ${output}` : ''})`;
}
