/** The machine that the kinds of resources manage. */
import { createInspections, createProviders, hostWasDown } from '../../kinds/index.ts';
import type { Store } from '../../store/db.ts';
import { systemClock } from '../../system/clock.ts';
import { exec } from '../../system/exec.ts';
import { socketSince } from '../../system/proc/sockets.ts';
import type { SessionOptions } from './session-options.ts';

/** Access to its files, Docker engine and systemd, shared by providers and watchers. */
export function machineOf({ root, store, config }: Pick<SessionOptions, 'root' | 'store' | 'config'>) {
  return {
    root,
    filesOnly: root !== '',
    dockerSocket: config.docker.socket,
    busSocket: '/run/dbus/system_bus_socket',
    clock: systemClock,
    inspections: createInspections(systemClock.monotonic, Date.now, whileAway(store, config.docker.socket)),
  };
}

/** Providers by kind. */
export function providersOf({ root, store, config, configFile, redactor }: SessionOptions, machine: Machine) {
  return createProviders({
    ...machine,
    isRoot: process.getuid?.() === 0,
    stagingDir: '/var/lib/fairlead/staging',
    own: [configFile.slice(root.length)],
    exec,
    owned: (id) => store.inventory.owned(id),
    images: { registries: config.docker.registries, records: store.images, secret: redactor.add },
    records: store.records,
    redact: redactor.text,
    found: redactor.addSeen,
  });
}

export type Machine = ReturnType<typeof machineOf>;
export type Providers = ReturnType<typeof providersOf>;

/** When the host was down, if it was down since the agent stopped. */
const whileAway = (store: Store, socket: string) => hostWasDown(store.facts.get('leftMs'), socketSince(socket));
