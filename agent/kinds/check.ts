/** Checks: probes that must pass after an apply, and are watched from then on. */
import type { Health, Provider } from '../core/provider.ts';
import type { CheckSpec } from '../core/specs.ts';
import type { Change, Desired, ResourceId, Seen } from '../core/types.ts';
import type { Clock } from '../system/clock.ts';
import type { Exec } from '../system/exec.ts';
import type { Probe } from '../system/probe.ts';

export interface CheckFact {
  passes: boolean;
  /** Why not. */
  message: string;
  /** How long it has been failing, as far as it was looked at; 0 while it passes. */
  failingMs: number;
}

export interface CheckProviderOptions {
  probe: Probe;
  exec: Exec;
  clock: Clock;
  /** Takes secrets out of what a program printed. */
  redact(text: string): string;
}

/** One try; a check has `within` for all of them together. */
const TRY_MS = 5_000;
const SHOWN = 300;

interface State {
  hash: string;
  /** Since when it may fail without being bad; null once it has passed, until it fails again. */
  failingSince: number | null;
  /** Asked again at every look until it passes. */
  settling: boolean;
  last: { at: number; message: string | null } | null;
}

export function createCheckProvider(options: CheckProviderOptions): Provider<CheckSpec, CheckFact> {
  const { clock } = options;
  const states = new Map<ResourceId, State>();

  const stateOf = (want: Desired<CheckSpec>): State => {
    const known = states.get(want.id);
    if (known?.hash === want.hash) return known;
    const fresh: State = { hash: want.hash, failingSince: null, settling: false, last: null };
    states.set(want.id, fresh);
    return fresh;
  };
  const look = async (want: Desired<CheckSpec>): Promise<CheckFact> => {
    const state = stateOf(want);
    const began = clock.monotonic();
    const age = state.last === null ? Infinity : began - state.last.at;
    if (state.settling || age < 0 || age >= want.spec.everyMs) {
      const message = await tryOnce(options, want.spec);
      state.last = { at: began, message };
      if (message === null) state.failingSince = null;
      else state.failingSince ??= began;
      if (message === null) state.settling = false;
    }
    const { failingSince, last } = state;
    const failingMs = failingSince === null ? 0 : Math.max(0, clock.monotonic() - failingSince);
    return { passes: last?.message === null, message: last?.message ?? '', failingMs };
  };
  const begin = (want: Desired<CheckSpec>) => {
    const state = stateOf(want);
    state.settling = true;
    state.failingSince = clock.monotonic();
  };

  return {
    kind: 'check',
    claims: ({ name }) => [`check:${name}`],
    diff,
    health,
    async observe(ids, _signal, wants) {
      const wanted = ids.flatMap((id) => wants?.get(id) ?? []);
      const facts = await Promise.all(wanted.map(async (want) => [want.id, { fact: await look(want) }] as const));
      return new Map(facts);
    },
    async apply({ want, change }) {
      if (change.op !== 'none') begin(want);
    },
    async refresh(want) {
      begin(want);
    },
    async remove(id) {
      states.delete(id);
    },
  };
}

/** Pure. A check has nothing on the host that could differ: it is new, or declared otherwise. */
function diff({ spec, hash }: Desired<CheckSpec>, seen: Seen<CheckFact> | undefined): Change {
  const before = seen?.mark?.hash ?? null;
  if (before === hash) return { op: 'none' };
  const { probe } = spec;
  const to =
    probe.type === 'http'
      ? probe.url
      : probe.type === 'tcp'
        ? `${probe.host}:${probe.port}`
        : probe.argv.join(' ').slice(0, 200);
  return { op: before === null ? 'create' : 'update', why: [{ field: probe.type, to }] };
}

function health({ spec }: Desired<CheckSpec>, seen: Seen<CheckFact> | undefined): Health {
  const fact = seen?.fact;
  if (fact === undefined) return { state: 'wait', message: 'not looked at yet' };
  if (fact.passes) return { state: 'ok', message: '' };
  if (fact.failingMs < spec.withinMs) return { state: 'wait', message: fact.message };
  return { state: 'bad', message: `did not pass within ${spec.withinMs / 1_000} s: ${fact.message}` };
}

/** Answers why it failed, or null. */
async function tryOnce({ probe, exec, redact }: CheckProviderOptions, spec: CheckSpec): Promise<string | null> {
  const timeoutMs = Math.min(TRY_MS, Math.max(spec.withinMs, 1_000));
  const how = spec.probe;
  if (how.type === 'http') return prefixed(how.url, await probe.http(how.url, how.expect, timeoutMs));
  if (how.type === 'tcp') return prefixed(`${how.host}:${how.port}`, await probe.tcp(how.host, how.port, timeoutMs));
  const { code, stdout, stderr } = await exec(how.argv, { timeoutMs: TRY_MS, cleanEnv: true });
  if (code === how.expect) return null;
  const said = redact(`${stdout}${stderr}`).trim().split('\n').at(-1) ?? '';
  return `\`${how.argv.join(' ')}\` ended with ${code}, not ${how.expect}${said ? `: ${said.slice(0, SHOWN)}` : ''}`;
}

const prefixed = (what: string, why: string | null): string | null => (why === null ? null : `${what}: ${why}`);
