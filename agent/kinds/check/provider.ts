/** Checks: probes that must pass after an apply, and are watched from then on. */
import { eachGone, eachWork } from '../../core/each.ts';
import type { Health, Provider } from '../../core/provider.ts';
import type { Change, Desired, Seen } from '../../core/types.ts';
import { type CheckFact, type CheckProbesOptions, createCheckProbes, PROBES_AT_ONCE, TRY_MS } from './probes.ts';
import type { CheckSpec } from './spec.ts';
import { createCheckWatcher } from './watch.ts';

/** Margin for a last probe that is in progress when the time ends. */
const PROBE_MS = 30_000;

export function createCheckProvider(options: CheckProbesOptions): Provider<CheckSpec, CheckFact> {
  const probes = createCheckProbes(options);
  return {
    kind: 'check',
    claims: ({ name }) => [`check:${name}`],
    diff,
    health,
    patienceMs: ({ spec }, seen) => spec.withinMs + PROBE_MS + queueMs(seen?.fact.together ?? 0),
    observe: (ids, signal, wants) =>
      probes.look(
        ids.flatMap((id) => wants?.get(id) ?? []),
        signal,
      ),
    apply: (work) =>
      eachWork(work, async ({ want, change }) => {
        if (change.op !== 'none') probes.begin(want);
      }),
    async refresh(want) {
      probes.begin(want);
    },
    remove: (gone) =>
      eachGone(gone, async ({ id }) => {
        probes.forget(id);
      }),
    watcher: createCheckWatcher({ probes }),
  };
}

/** The longest time that a check waits for its turn: once before its first probe, and once more before its last. */
const queueMs = (together: number): number => 2 * Math.max(0, Math.ceil(together / PROBES_AT_ONCE) - 1) * TRY_MS;

/** Pure. A check has nothing on the host that could differ: it is either new or its declaration changed. */
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
  if (fact === undefined) return { state: 'wait', message: 'not probed yet' };
  if (fact.passes) return { state: 'ok', message: '' };
  if (fact.failingMs < spec.withinMs) return { state: 'wait', message: fact.message };
  const message = `did not pass within ${spec.withinMs / 1_000} s: ${fact.message}`;
  return { state: 'bad', message, ...(fact.isUndecided ? { code: 'TemporaryFailure' as const } : {}) };
}
