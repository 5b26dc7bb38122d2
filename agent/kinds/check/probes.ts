/**
 * The state of each check: its last probe, and since when it fails. Shared by the provider, which probes on request, and the
 * watcher.
 */

import { TRY_AGAIN } from '../../core/exit-codes.ts';
import type { Desired, ResourceId, Seen } from '../../core/types.ts';
import type { Clock } from '../../system/clock.ts';
import type { Exec } from '../../system/exec.ts';
import type { Probe } from '../../system/probe.ts';
import { createLanes } from '../../system/side-by-side.ts';
import type { CheckSpec } from './spec.ts';

export interface CheckFact {
  passes: boolean;
  /** Why it failed. */
  message: string;
  /** The program itself reported that it cannot decide now (exit code 75). */
  isUndecided: boolean;
  /** How long it has been failing, as far as it was probed; 0 while it passes. */
  failingMs: number;
  /** The number of checks that this observation probed together; they take turns. */
  together: number;
}

export interface CheckProbesOptions {
  probe: Probe;
  exec: Exec;
  clock: Clock;
  /** Removes secrets from a program's output. */
  redact(text: string): string;
}

export interface CheckProbes {
  /**
   * The results for a run: probes a check again if its last probe is older than `every`, or if it still has to pass. Once the
   * signal aborts, no further probe begins.
   */
  look(wants: readonly Desired<CheckSpec>[], signal: AbortSignal): Promise<Map<ResourceId, Seen<CheckFact>>>;
  /** Starts its time to pass. */
  begin(want: Desired<CheckSpec>): void;
  forget(id: ResourceId): void;
  /** Milliseconds until its next probe is due; 0 or less: now. */
  dueMs(want: Desired<CheckSpec>): number;
  /** Probes between runs. @returns whether the verdict differs from the last run's */
  watch(want: Desired<CheckSpec>): Promise<boolean>;
}

/** Maximum number of concurrent probes, between runs and in them: each may be a program, and the tasks of the agent's unit are limited. */
export const PROBES_AT_ONCE = 4;
/** Timeout of one try; `within` covers all tries of a check. */
export const TRY_MS = 5_000;
/** Lower bound of `every`, so that a typing error does not keep the host busy. */
const LEAST_EVERY_MS = 1_000;
const SHOWN = 300;
const HANGS =
  'its last program hangs in the kernel and cannot be killed; free the disk or mount that it waits for, and the check is probed again';

interface Failure {
  message: string;
  isUndecided: boolean;
}

interface State {
  hash: string;
  /** The start of the time in which it may fail without being `bad`; null once it has passed, until it fails again. */
  failingSince: number | null;
  /** Its time to pass has been started, but it has not been probed since: the time counts from the first probe, not from the queue. */
  isQueued: boolean;
  /** Probed again at every observation until it passes. */
  settling: boolean;
  last: { at: number; failure: Failure | null } | null;
  /** Whether it passed when a run last observed it. */
  seen: boolean | null;
}

const UNPROBED: Omit<State, 'hash'> = { failingSince: null, isQueued: false, settling: false, last: null, seen: null };

export function createCheckProbes(options: CheckProbesOptions): CheckProbes {
  const { clock } = options;
  const states = new Map<ResourceId, State>();
  const now = () => clock.monotonic();
  /** Checks whose last program cannot be killed: another one would hang as well, and the tasks of the agent are limited. */
  const hanging = new Set<ResourceId>();
  const inTurn = createLanes(PROBES_AT_ONCE);

  const stateOf = (want: Desired<CheckSpec>): State => {
    const known = states.get(want.id);
    if (known?.hash === want.hash) return known;
    const fresh: State = { ...UNPROBED, hash: want.hash };
    states.set(want.id, fresh);
    return fresh;
  };
  /** Null while a run owns this check: it has not observed this declaration yet, or still waits for it to pass. */
  const watched = (want: Desired<CheckSpec>): State | null => {
    const state = states.get(want.id);
    if (state?.hash !== want.hash || state.seen === null) return null;
    const awaited = state.settling && now() - (state.failingSince ?? 0) < want.spec.withinMs;
    return awaited ? null : state;
  };
  const tryIt = async ({ id, spec }: Desired<CheckSpec>): Promise<Failure | null> => {
    if (hanging.has(id)) return { message: HANGS, isUndecided: false };
    return tryOnce(options, spec, (lingers) => {
      hanging.add(id);
      void lingers.then(() => hanging.delete(id));
    });
  };
  const probe = async (state: State, want: Desired<CheckSpec>) => {
    const began = now();
    if (state.isQueued) state.failingSince = began;
    state.isQueued = false;
    const failure = await tryIt(want);
    state.last = { at: began, failure };
    if (failure === null) state.failingSince = null;
    else state.failingSince ??= began;
    if (failure === null) state.settling = false;
  };
  const lookAt = async (want: Desired<CheckSpec>, { aborted }: AbortSignal) => {
    const state = stateOf(want);
    const age = state.last === null ? Infinity : now() - state.last.at;
    const isDue = state.settling || age >= want.spec.everyMs;
    if (isDue && !aborted) await probe(state, want);
    const { failingSince, last } = state;
    const passes = last?.failure === null;
    const { message = '', isUndecided = false } = last?.failure ?? {};
    // Without a probe, this is no evidence against it.
    if (isDue && aborted) return [want.id, { passes, message, isUndecided, failingMs: 0 }] as const;
    state.seen = passes;
    const failingMs = failingSince === null ? 0 : now() - failingSince;
    return [want.id, { passes, message, isUndecided, failingMs }] as const;
  };

  return {
    async look(wants, signal) {
      const facts = await Promise.all(wants.map((want) => inTurn(() => lookAt(want, signal))));
      return new Map(facts.map(([id, fact]) => [id, { fact: { ...fact, together: wants.length } }]));
    },
    begin(want) {
      const state = stateOf(want);
      state.settling = true;
      state.isQueued = true;
      state.failingSince = now();
    },
    forget: (id) => void states.delete(id),
    dueMs(want) {
      const every = Math.max(want.spec.everyMs, LEAST_EVERY_MS);
      const state = watched(want);
      return state === null ? every : (state.last?.at ?? 0) + every - now();
    },
    watch: async (want) =>
      inTurn(async () => {
        const state = watched(want);
        if (state === null) return false;
        await probe(state, want);
        return states.get(want.id) === state && (state.last?.failure === null) !== state.seen;
      }),
  };
}

/** Returns why it failed, or null. */
async function tryOnce(
  { probe, exec, redact }: CheckProbesOptions,
  spec: CheckSpec,
  hangs: (lingers: Promise<void>) => void,
): Promise<Failure | null> {
  const timeoutMs = Math.min(TRY_MS, Math.max(spec.withinMs, 1_000));
  const how = spec.probe;
  if (how.type === 'http') return prefixed(how.url, await probe.http(how.url, how.expect, timeoutMs));
  if (how.type === 'tcp') return prefixed(`${how.host}:${how.port}`, await probe.tcp(how.host, how.port, timeoutMs));
  const { code, stdout, stderr, lingers } = await exec(how.argv, { timeoutMs: TRY_MS, cleanEnv: true });
  if (lingers) hangs(lingers);
  if (code === how.expect) return null;
  const said = redact(`${stdout}${stderr}`).trim().split('\n').at(-1) ?? '';
  const message = `\`${how.argv.join(' ')}\` ended with ${code}, not ${how.expect}${said ? `: ${said.slice(0, SHOWN)}` : ''}`;
  return { message, isUndecided: code === TRY_AGAIN };
}

const prefixed = (what: string, why: string | null): Failure | null =>
  why === null ? null : { message: `${what}: ${why}`, isUndecided: false };
