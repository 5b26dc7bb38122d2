/** Every provider, run against the contract on real hosts of both flavours. */
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { createProviders } from '../../agent/kinds/index.ts';
import { systemClock } from '../../agent/system/clock.ts';
import type { KernelSettings } from '../../agent/system/proc/kernel-settings.ts';
import { withoutFailure } from '../failures.ts';
import { type Lab, type LabHost, startLab, until } from '../lab/lab.ts';
import type { Flavour } from '../lab/recipe.ts';
import { bring, contract } from './contract.ts';
import type { Hands } from './hands.ts';
import { type Setup, subjectOn } from './setup.ts';
import { FILES } from './subjects-files.ts';
import { ENGINE, VOLUME } from './subjects-stacks.ts';
import { SYSCTLS } from './subjects-sysctls.ts';
import { UNITS } from './subjects-units.ts';

const FLAVOURS: readonly Flavour[] = ['debian13', 'debian12'];
let lab: Lab;

beforeAll(async () => {
  lab = await startLab({
    name: 'contract',
    infra: 'shared',
    hosts: FLAVOURS.map((flavour) => ({ name: flavour, flavour })),
  });
});
afterAll(async () => lab?.stop());

/**
 * The agent's providers, which act on a lab host from outside: its files and sockets are reached through the root of its init.
 */
async function handsOn(host: LabHost): Promise<Hands> {
  const root = `/proc/${await host.pid()}/root`;
  const providers = createProviders({
    isRoot: true,
    root,
    filesOnly: false,
    dockerSocket: `${root}/run/docker.sock`,
    busSocket: `${root}/run/dbus/system_bus_socket`,
    stagingDir: '/var/lib/fairlead/staging',
    clock: systemClock,
    exec: (argv, options = {}) =>
      host.exec(argv, {
        check: false,
        ...(options.input === undefined ? {} : { input: options.input }),
        ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
      }),
    kernel: kernelOf(host),
    owned: (id) => id !== 'unit:foreign.service',
  });
  return {
    providers,
    run: async (...argv) => (await host.exec(argv, { check: false })).code === 0,
    act: (...argv) => host.exec(argv),
    write: host.write,
    append: (path, text) => host.exec(['tee', '-a', path], { input: text }),
    until,
  };
}

/** The settings of the host's own network namespace: /proc/sys/net shows each reader the one of its own namespace. */
const kernelOf = (host: LabHost): KernelSettings => ({
  async read(setting) {
    const { code, stdout } = await host.exec(['cat', `/proc/sys/${setting}`], { check: false });
    return code === 0 ? stdout : null;
  },
  async write(setting, value) {
    await host.exec(['sh', '-c', 'printf "%s\\n" "$1" > "/proc/sys/$2"', 'sh', value, setting]);
  },
});

describe.each(FLAVOURS)('on %s', (flavour) => {
  const on = (setup: Setup) => async () => subjectOn(await handsOn(lab.host(flavour)), setup);
  for (const [name, setup] of Object.entries({ ...FILES, ...SYSCTLS, ...UNITS, ...ENGINE }))
    contract(name, { away: setup.outage !== undefined }, on(setup));

  test('a volume is created, found again, and outlives its removal with its content', async () => {
    onTestFailed(async () => console.error(await lab.host(flavour).journal('docker.service')));
    const host = lab.host(flavour);
    const { provider, want, exists } = await subjectOn(await handsOn(host), VOLUME);
    await bring(provider, want);
    expect(await exists()).toBe(true);
    await host.sh('echo precious > /var/lib/docker/volumes/box_data/_data/x');
    expect(await bring(provider, want)).toEqual({ op: 'none' });
    const signal = new AbortController().signal;
    const seen = (await provider.observe([want.id], signal)).get(want.id);
    if (seen) await withoutFailure(provider.remove([{ id: want.id, seen }], signal));
    expect((await host.exec(['cat', '/var/lib/docker/volumes/box_data/_data/x'])).stdout).toBe('precious\n');
  });
});
