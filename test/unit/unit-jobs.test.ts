/** What the end of a job of systemd means for a unit: one that failed, or one whose connection was lost before it. */
import { expect, test } from 'vitest';
import { createUnitJobs } from '../../agent/kinds/unit/jobs.ts';
import type { JobVerb, Systemd } from '../../agent/system/systemd/systemd.ts';

const exec = async () => ({ code: 0, stdout: '', stderr: '' });

/** @returns what the job of a unit in this state, with an unknown result, comes to */
async function outcomeOf(verb: JobVerb, active: string): Promise<string> {
  const systemd: Partial<Systemd> = {
    list: async (names) => names.map((name) => ({ name, load: 'loaded', active, sub: '', path: '' })),
    job: async () => 'unknown',
    resetFailed: async () => undefined,
  };
  const run = createUnitJobs({ systemd: systemd as Systemd, exec: exec as never });
  return run(verb, 'a.service').then(
    () => 'success',
    (thrown: { code: string }) => thrown.code,
  );
}

test.each([
  ['StartUnit', 'active', 'success'],
  ['StartUnit', 'failed', 'UnitFailed'],
  ['StartUnit', 'inactive', 'SystemdUnreachable'],
  ['StopUnit', 'inactive', 'success'],
  ['StopUnit', 'active', 'SystemdUnreachable'],
  ['ReloadOrRestartUnit', 'active', 'SystemdUnreachable'],
  ['ReloadOrRestartUnit', 'failed', 'SystemdUnreachable'],
] as const)('a %s of unknown result that leaves the unit %s comes to %s', async (verb, active, outcome) => {
  expect(await outcomeOf(verb, active)).toBe(outcome);
});

test('the journal of a unit that was declared by an alias is that of the unit behind it', async () => {
  const row = { name: 'sshd.service', load: 'loaded', active: 'failed', sub: 'failed', path: '/ssh' };
  const properties: Record<string, unknown> = { Id: 'ssh.service' };
  const systemd: Partial<Systemd> = {
    list: async () => [row],
    job: async () => 'failed',
    resetFailed: async () => undefined,
    property: async <T>(_path: string, _iface: string, name: string, otherwise: T) =>
      (properties[name] ?? otherwise) as T,
  };
  const asked: string[] = [];
  const journal = async ([, ...args]: string[]) => {
    asked.push(args[args.indexOf('-u') + 1] ?? '');
    return { code: 0, stdout: 'no such port\n', stderr: '' };
  };
  const run = createUnitJobs({ systemd: systemd as Systemd, exec: journal as never });
  await expect(run('StartUnit', 'sshd.service')).rejects.toThrow(/no such port/);
  expect(asked.at(-1)).toBe('ssh.service');
});
