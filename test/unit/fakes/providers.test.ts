/** Every provider, run against the contract on a host in memory: of Debian 13, and of Debian 12. */
import { afterAll, describe, expect, test } from 'vitest';
import { bring, contract } from '../../contract/contract.ts';
import { type Setup, subjectOn } from '../../contract/setup.ts';
import { FILES } from '../../contract/subjects-files.ts';
import { ENGINE, VOLUME } from '../../contract/subjects-stacks.ts';
import { SYSCTLS } from '../../contract/subjects-sysctls.ts';
import { UNITS } from '../../contract/subjects-units.ts';
import { withoutFailure } from '../../failures.ts';
import { handsOn } from '../../fakes/hands.ts';
import { createFakeHost } from '../../fakes/host.ts';

/** Only root can change the owner of a file. */
const isRoot = process.getuid?.() === 0;
const asSelf = (setup: Setup): Setup => {
  const own = (files: Record<string, string>) =>
    Object.fromEntries(Object.entries(files).map(([name, text]) => [name, text.replace(', owner: daemon', '')]));
  return {
    ...setup,
    files: own(setup.files),
    changed: { ...setup.changed, files: own(setup.changed.files) },
    drifts: (host) => setup.drifts(host).filter(({ field }) => field !== 'owner' && field !== 'group'),
  };
};

describe.each([
  ['Debian 13', false],
  ['Debian 12', true],
])('on a host in memory, %s', (_, isOld) => {
  const host = createFakeHost({ isOld });
  const image = 'infra:5000/app:1';
  host.engine.registry.push(image, { config: { Cmd: ['httpd'] } });
  afterAll(host.end);
  const on = (setup: Setup) => () => subjectOn(handsOn(host), isRoot ? setup : asSelf(setup));
  for (const [name, setup] of Object.entries({ ...FILES, ...SYSCTLS, ...UNITS, ...ENGINE }))
    contract(name, { away: setup.outage !== undefined }, on(setup));

  test('a volume is created, found again, and outlives its removal', async () => {
    const { provider, want, exists } = await subjectOn(handsOn(host), VOLUME);
    await bring(provider, want);
    expect(await exists()).toBe(true);
    expect(await bring(provider, want)).toEqual({ op: 'none' });
    const signal = new AbortController().signal;
    const seen = (await provider.observe([want.id], signal)).get(want.id);
    if (seen) await withoutFailure(provider.remove([{ id: want.id, seen }], signal));
    expect(await exists()).toBe(true);
  });
});
