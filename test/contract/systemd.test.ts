/** The driver over the systemd of real hosts, under the contract that the one in memory has to keep as well. */
import { afterAll, beforeAll, describe } from 'vitest';
import { silentLog } from '../../agent/log.ts';
import { systemClock } from '../../agent/system/clock.ts';
import { createSystemdSignals } from '../../agent/system/systemd/signals.ts';
import { createSystemd } from '../../agent/system/systemd/systemd.ts';
import { type Lab, startLab, until } from '../lab/lab.ts';
import type { Flavour } from '../lab/recipe.ts';
import { systemdContract } from './systemd.ts';

const FLAVOURS: readonly Flavour[] = ['debian13', 'debian12'];
let lab: Lab;

beforeAll(async () => {
  lab = await startLab({
    name: 'units',
    infra: 'shared',
    hosts: FLAVOURS.map((flavour) => ({ name: flavour, flavour })),
  });
});
afterAll(async () => lab?.stop());

describe.each(FLAVOURS)('on %s', (flavour) => {
  systemdContract('its systemd', async () => {
    const host = lab.host(flavour);
    const socket = `/proc/${await host.pid()}/root/run/dbus/system_bus_socket`;
    return {
      systemd: createSystemd({ socket }),
      signals: (listener) => createSystemdSignals({ socket, clock: systemClock, log: silentLog, ...listener }),
      write: (file, text) => {
        if (text === null) return host.exec(['rm', '-f', file]);
        const target = text.startsWith('→ ') ? text.slice('→ '.length) : null;
        const link = ['sh', '-c', 'mkdir -p "$(dirname "$2")" && ln -sfn "$1" "$2"', 'sh', target ?? '', file];
        return target === null ? host.write(file, text) : host.exec(link);
      },
      exists: async (file) => (await host.exec(['test', '-e', file], { check: false })).code === 0,
      seesNewDropins: flavour !== 'debian12',
      kill: (unit) => host.exec(['systemctl', 'kill', '-s', 'KILL', unit]),
      until: (what, condition) => until(what, 60_000, condition),
    };
  });
});
