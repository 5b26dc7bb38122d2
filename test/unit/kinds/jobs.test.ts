import { expect, test } from 'vitest';
import type { Desired, Reason } from '../../../agent/core/types.ts';
import { createJobProvider } from '../../../agent/kinds/job/provider.ts';
import type { JobSpec } from '../../../agent/kinds/job/spec.ts';
import type { Exec } from '../../../agent/system/exec.ts';

const never = new AbortController().signal;
const UNLESS = 'fairlead-unless-migrate.service';
const JOB = 'fairlead-job-migrate.service';

const migrate: JobSpec = {
  ...{ name: 'migrate', run: ['migrate'], when: 'always', unless: ['is-migrated'], cwd: '/', env: {}, user: 'root' },
  ...{ timeoutMs: 600_000, onRollback: 'skip' },
};
const wantOf = (spec: JobSpec): Desired<JobSpec> => ({
  ...{ id: 'job:migrate', hash: 'h', after: [], notify: [], spec },
  origin: { file: 'jobs.yaml', line: 1, via: [] } as never,
});

/** systemd, as far as jobs use it: a unit runs until the test ends it, and one that is stopped counts as a clean exit. */
function host(leftovers: readonly string[] = []) {
  const units = new Map<string, (code: number) => void>(leftovers.map((unit) => [unit, () => undefined]));
  const log: string[] = [];
  const end = (unit: string, code: number) => {
    const ended = units.get(unit);
    units.delete(unit);
    ended?.(code);
  };
  const answer = (code: number) => ({ code, stdout: '', stderr: '' });
  const exec: Exec = async (argv) => {
    const [program, verb] = argv;
    const unit = argv.at(-1) ?? '';
    if (program === 'systemctl' && verb === 'is-active') return answer(units.has(unit) ? 0 : 3);
    if (program === 'systemctl') {
      log.push(`stop ${unit}`);
      end(unit, 0);
      return answer(0);
    }
    const name = argv.find((arg) => arg.startsWith('--unit='))?.slice('--unit='.length) ?? '';
    log.push(`start ${name}`);
    return answer(await new Promise<number>((resolve) => units.set(name, resolve)));
  };
  const provider = createJobProvider({ exec, redact: (text) => text });
  const want = wantOf(migrate);
  const reports: Reason[] = [];
  const report = (reason: Reason) => void reports.push(reason);
  return {
    ...{ log, end, reports },
    runs: (unit: string) => expect.poll(() => units.has(unit)).toBe(true),
    apply: (signal = never) =>
      provider.apply([{ want, change: { op: 'update', why: [] }, seen: undefined, report }], signal),
    observe: async (spec = migrate, signal = never) =>
      (await provider.observe([want.id], signal, new Map([[want.id, wantOf(spec)]]))).get(want.id)?.fact.satisfied,
  };
}

test('an observation does not end the `unless` of a run, and the run acts on its answer', async () => {
  const { apply, observe, runs, end, log, reports } = host();
  const applied = apply();
  await runs(UNLESS);
  const satisfied = observe();
  await new Promise(setImmediate);
  end(UNLESS, 1);
  expect(await satisfied).toBe(false);
  await runs(JOB);
  end(JOB, 0);
  expect([...(await applied)]).toEqual([]);
  expect(reports).toEqual([]);
  expect(log).toEqual([`start ${UNLESS}`, `start ${JOB}`]);
});

test('a run does not end the `unless` of an observation, and asks again for itself', async () => {
  const { apply, observe, runs, end, log, reports } = host();
  const satisfied = observe();
  await runs(UNLESS);
  const applied = apply();
  await new Promise(setImmediate);
  end(UNLESS, 1);
  expect(await satisfied).toBe(false);
  await runs(UNLESS);
  end(UNLESS, 0);
  await applied;
  expect(reports).toEqual([{ field: 'unless', to: 'holds already; not run' }]);
  expect(log).toEqual([`start ${UNLESS}`, `start ${UNLESS}`]);
});

test('observations of one declaration share an answer, one of another declaration waits for its own', async () => {
  const { observe, runs, end, log } = host();
  const both = Promise.all([observe(), observe()]);
  await runs(UNLESS);
  const other = observe({ ...migrate, unless: ['is-migrated', '--to=2'] });
  await new Promise(setImmediate);
  end(UNLESS, 0);
  expect(await both).toEqual([true, true]);
  await runs(UNLESS);
  end(UNLESS, 1);
  expect(await other).toBe(false);
  expect(log).toEqual([`start ${UNLESS}`, `start ${UNLESS}`]);
});

test('an observation whose shared answer was stopped for somebody else asks again', async () => {
  const { observe, runs, end } = host();
  const stopper = new AbortController();
  const first = observe(migrate, stopper.signal);
  await runs(UNLESS);
  const second = observe();
  stopper.abort();
  expect(await first).toBe(false);
  await runs(UNLESS);
  end(UNLESS, 0);
  expect(await second).toBe(true);
});

test('a unit that a killed agent left is stopped first', async () => {
  const { observe, runs, end, log } = host([UNLESS]);
  const satisfied = observe();
  await expect.poll(() => log.at(-1)).toBe(`start ${UNLESS}`);
  await runs(UNLESS);
  end(UNLESS, 0);
  expect(await satisfied).toBe(true);
  expect(log).toEqual([`stop ${UNLESS}`, `start ${UNLESS}`]);
});

test('a job whose `unless` was stopped with the agent does not run', async () => {
  const { apply, runs, log } = host();
  const stopper = new AbortController();
  const applied = apply(stopper.signal);
  await runs(UNLESS);
  stopper.abort();
  expect([...(await applied).values()].map(({ code }) => code)).toEqual(['TemporaryFailure']);
  expect(log).toEqual([`start ${UNLESS}`, `stop ${UNLESS}`]);
});
