/**
 * The state of each check: its last probe, and since when it fails. Shared by the provider, which probes on request, and the
 * watcher.
 */

import { TRY_AGAIN } from '../../core/exit-codes.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { Clock } from '../../system/clock.ts';
import type { Exec } from '../../system/exec.ts';
import type { Probe } from '../../system/probe.ts';
import type { CheckSpec } from './spec.ts';

export interface CheckFact {
  passes: boolean;
  /** Why it failed. */
  message: string;
  /** The program itself reported that it cannot decide now (exit code 75). */
  isUndecided: boolean;
  /** How long it has been failing, as far as it was probed; 0 while it passes. */
  failingMs: number;
}

export interface CheckProbesOptions {
  probe: Probe;
  exec: Exec;
  clock: Clock;
  /** Removes secrets from a program's output. */
  redact(text: string): string;
}

export interface CheckProbes {
  /** The result for a run: probes again if the last probe is older than `every`, or if the check still has to pass. */
  look(want: Desired<CheckSpec>): Promise<CheckFact>;
  /** Starts its time to pass. */
  begin(want: Desired<CheckSpec>): void;
  forget(id: ResourceId): void;
  /** Milliseconds until its next probe is due; 0 or less: now. */
  dueMs(want: Desired<CheckSpec>): number;
  /** Probes between runs. @returns whether the verdict differs from the last run's */
  watch(want: Desired<CheckSpec>): Promise<boolean>;
}

/** Timeout of one try; `within` covers all tries of a check. */
const TRY_MS = 5_000;
/** Lower bound of `every`, so that a typing error does not keep the host busy. */
const LEAST_EVERY_MS = 1_000;
const SHOWN = 300;

interface Failure {
  message: string;
  isUndecided: boolean;
}

interface State {
  hash: string;
  /** The start of the time in which it may fail without being `bad`; null once it has passed, until it fails again. */
  failingSince: number | null;
  /** Probed again at every observation until it passes. */
  settling: boolean;
  last: { at: number; failure: Failure | null } | null;
  /** Whether it passed when a run last observed it. */
  seen: boolean | null;
}

export function createCheckProbes(options: CheckProbesOptions): CheckProbes {
  const { clock } = options;
  const states = new Map<ResourceId, State>();
  const now = () => clock.monotonic();

  const stateOf = (want: Desired<CheckSpec>): State => {
    const known = states.get(want.id);
    if (known?.hash === want.hash) return known;
    const fresh: State = { hash: want.hash, failingSince: null, settling: false, last: null, seen: null };
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
  const probe = async (state: State, spec: CheckSpec) => {
    const began = now();
    const failure = await tryOnce(options, spec);
    state.last = { at: began, failure };
    if (failure === null) state.failingSince = null;
    else state.failingSince ??= began;
    if (failure === null) state.settling = false;
  };

  return {
    async look(want) {
      const state = stateOf(want);
      const age = state.last === null ? Infinity : now() - state.last.at;
      if (state.settling || age >= want.spec.everyMs) await probe(state, want.spec);
      const { failingSince, last } = state;
      state.seen = last?.failure === null;
      const failingMs = failingSince === null ? 0 : now() - failingSince;
      const { message = '', isUndecided = false } = last?.failure ?? {};
      return { passes: state.seen, message, isUndecided, failingMs };
    },
    begin(want) {
      const state = stateOf(want);
      state.settling = true;
      state.failingSince = now();
    },
    forget: (id) => void states.delete(id),
    dueMs(want) {
      const every = Math.max(want.spec.everyMs, LEAST_EVERY_MS);
      const state = watched(want);
      return state === null ? every : (state.last?.at ?? 0) + every - now();
    },
    async watch(want) {
      const state = watched(want);
      if (state === null) return false;
      await probe(state, want.spec);
      return states.get(want.id) === state && (state.last?.failure === null) !== state.seen;
    },
  };
}

/** Returns why it failed, or null. */
async function tryOnce({ probe, exec, redact }: CheckProbesOptions, spec: CheckSpec): Promise<Failure | null> {
  const timeoutMs = Math.min(TRY_MS, Math.max(spec.withinMs, 1_000));
  const how = spec.probe;
  if (how.type === 'http') return prefixed(how.url, await probe.http(how.url, how.expect, timeoutMs));
  if (how.type === 'tcp') return prefixed(`${how.host}:${how.port}`, await probe.tcp(how.host, how.port, timeoutMs));
  const { code, stdout, stderr } = await exec(how.argv, { timeoutMs: TRY_MS, cleanEnv: true });
  if (code === how.expect) return null;
  const said = redact(`${stdout}${stderr}`).trim().split('\n').at(-1) ?? '';
  const message = `\`${how.argv.join(' ')}\` ended with ${code}, not ${how.expect}${said ? `: ${said.slice(0, SHOWN)}` : ''}`;
  return { message, isUndecided: code === TRY_AGAIN };
}

const prefixed = (what: string, why: string | null): Failure | null =>
  why === null ? null : { message: `${what}: ${why}`, isUndecided: false };
