import { expect, test } from 'vitest';
import type { Desired, ResourceId } from '../../../agent/core/types.ts';
import { createCheckProvider } from '../../../agent/kinds/check/provider.ts';
import type { CheckSpec } from '../../../agent/kinds/check/spec.ts';
import type { Exec } from '../../../agent/system/exec.ts';
import { createFakeClock } from '../../fakes/clock.ts';

const WITHIN_MS = 30_000;
const EVERY_MS = 30_000;
const never = new AbortController().signal;

const check = (name: string, more: Partial<CheckSpec> = {}): Desired<CheckSpec> => ({
  id: `check:${name}`,
  hash: 'h',
  after: [],
  notify: [],
  origin: { file: 'checks.yaml', line: 1, via: [] } as never,
  spec: { name, probe: { type: 'run', argv: [name], expect: 0 }, withinMs: WITHIN_MS, everyMs: EVERY_MS, ...more },
});
const byId = (wants: readonly Desired<CheckSpec>[]): Map<ResourceId, Desired<CheckSpec>> =>
  new Map(wants.map((want) => [want.id, want]));

/** A provider whose programs take a second each, and answer this exit code. */
function host(codeOf: (name: string) => number) {
  const clock = createFakeClock();
  const programs = { now: 0, most: 0, all: 0 };
  const exec: Exec = async ([name = '']) => {
    programs.all++;
    programs.most = Math.max(programs.most, ++programs.now);
    await clock.sleep(1_000);
    programs.now--;
    return { code: codeOf(name), stdout: '', stderr: '' };
  };
  const probe = { http: async () => null, tcp: async () => null };
  const provider = createCheckProvider({ exec, probe, clock, redact: (text) => text });
  return { clock, programs, provider };
}
const begin = (provider: ReturnType<typeof host>['provider'], wants: readonly Desired<CheckSpec>[]) =>
  provider.apply(
    wants.map((want) => ({ want, change: { op: 'create' as const, why: [] }, seen: undefined })),
    never,
  );

test('120 checks are probed four at a time', async () => {
  const { provider, programs } = host(() => 0);
  const wants = Array.from({ length: 120 }, (_, i) => check(`c${i}`));
  const seen = await provider.observe([...byId(wants).keys()], never, byId(wants));
  expect(seen.size).toBe(120);
  expect(programs.all).toBe(120);
  expect(programs.most).toBe(4);
});

test('observations and the watcher share these four', async () => {
  const { provider, programs } = host(() => 0);
  const wants = Array.from({ length: 20 }, (_, i) => check(`c${i}`, { everyMs: 0 }));
  const ids = [...byId(wants).keys()];
  const stopper = new AbortController();
  await provider.observe(ids, never, byId(wants));
  await provider.watcher?.start(() => undefined, stopper.signal);
  await Promise.all([1, 2, 3].map(() => provider.observe(ids, never, byId(wants))));
  stopper.abort();
  expect(programs.most).toBe(4);
});

test('the time that a check waits for its turn does not count as failing', async () => {
  const { provider, clock } = host(() => 1);
  const wants = Array.from({ length: 200 }, (_, i) => check(`c${i}`));
  await begin(provider, wants);
  const seen = await provider.observe([...byId(wants).keys()], never, byId(wants));
  expect(clock.monotonic()).toBeGreaterThan(WITHIN_MS);
  const states = wants.map((want) => provider.health(want, seen.get(want.id)).state);
  expect(states.filter((state) => state !== 'wait')).toEqual([]);
});

test('a check that still fails after its time to pass is bad, however many wait beside it', async () => {
  const { provider, clock } = host(() => 1);
  const wants = Array.from({ length: 200 }, (_, i) => check(`c${i}`));
  await begin(provider, wants);
  await provider.observe([...byId(wants).keys()], never, byId(wants));
  await clock.sleep(WITHIN_MS);
  const seen = await provider.observe([...byId(wants).keys()], never, byId(wants));
  const states = wants.map((want) => provider.health(want, seen.get(want.id)).state);
  expect(states.filter((state) => state !== 'bad')).toEqual([]);
});

test('a run is as patient as the queue of its checks is long', async () => {
  const { provider } = host(() => 1);
  const patience = async (count: number) => {
    const wants = Array.from({ length: count }, (_, i) => check(`c${i}`));
    const seen = await provider.observe([...byId(wants).keys()], never, byId(wants));
    const [first] = wants;
    return first && provider.patienceMs?.(first, seen.get(first.id));
  };
  expect(await patience(4)).toBe(WITHIN_MS + 30_000);
  // 30 turns of 5 s at most, before its first probe and before its last.
  expect(await patience(120)).toBe(WITHIN_MS + 30_000 + 2 * 29 * 5_000);
});

test('no probe begins after the observation was called off, and none of the rest counts as failing for long', async () => {
  const { provider, programs, clock } = host(() => 1);
  const wants = Array.from({ length: 40 }, (_, i) => check(`c${i}`));
  await begin(provider, wants);
  await clock.sleep(2 * WITHIN_MS);
  const stopper = new AbortController();
  const observed = provider.observe([...byId(wants).keys()], stopper.signal, byId(wants));
  stopper.abort();
  const seen = await observed;
  expect(programs.all).toBeLessThanOrEqual(4);
  const states = wants.map((want) => provider.health(want, seen.get(want.id)).state);
  expect(states.filter((state) => state !== 'wait')).toEqual([]);
});

test('a check whose program cannot be killed is probed again only when that program is gone', async () => {
  let free = () => {};
  const lingers = new Promise<void>((resolve) => {
    free = resolve;
  });
  let started = 0;
  const exec: Exec = async () => {
    started++;
    return started === 1 ? { code: 137, stdout: '', stderr: '', lingers } : { code: 0, stdout: '', stderr: '' };
  };
  const probe = { http: async () => null, tcp: async () => null };
  const provider = createCheckProvider({ exec, probe, clock: createFakeClock(), redact: (text) => text });
  const wants = [check('df', { everyMs: 0 })];
  const passes = async () => (await provider.observe(['check:df'], never, byId(wants))).get('check:df')?.fact.passes;
  expect(await passes()).toBe(false);
  expect(await passes()).toBe(false);
  expect(started).toBe(1);
  free();
  await lingers;
  expect(await passes()).toBe(true);
});
