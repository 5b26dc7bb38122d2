/** Watches units for changes of state, and unit files, drop-ins and enabling links for changes on disk. */
import type { Watcher } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { SystemdListener, SystemdSignals } from '../../system/systemd/signals.ts';
import type { InotifyQueue } from '../../system/watch/inotify-queue.ts';
import { createPathWatch, type PathWatch } from '../../system/watch/path-watch.ts';
import { isOwnTemp, watchLimit } from '../../system/watch/watch-limit.ts';
import type { UnitSpec } from './spec.ts';

export interface UnitWatcherOptions {
  /** Subscribes to systemd's signals about units. */
  signals(listener: SystemdListener): SystemdSignals;
  root: string;
  /** Maximum number of watched directories. */
  limit: number;
  queue: InotifyQueue;
}

const DIR = '/etc/systemd/system';

export function createUnitWatcher({ signals: listenTo, root, limit, queue }: UnitWatcherOptions): Watcher {
  let watch: PathWatch | null = null;
  let hint: (id: ResourceId | '*') => void = () => undefined;
  let owners = new Map<string, ResourceId>();
  const signals = listenTo({
    unit: (name) => hint(`unit:${name}`),
    all: () => hint('*'),
  });
  return {
    kinds: ['unit'],
    async start(tell, signal) {
      hint = tell;
      watch = createPathWatch({
        root,
        limit,
        queue,
        ignored: isOwnTemp,
        changed(path) {
          const owner = owners.get(path);
          if (owner) hint(owner);
        },
      });
      queue.lossy(() => hint('*'));
      signal.addEventListener('abort', () => watch?.close(), { once: true });
      await signals.start(signal);
    },
    manage(resources) {
      const units = resources.filter((r): r is Desired<UnitSpec> => r.id.startsWith('unit:'));
      owners = new Map(units.flatMap((u) => unitPaths(u.spec).map((path) => [path, u.id] as const)));
      signals.units(units.map((u) => u.spec.name));
      const fresh = new Set((watch?.watch([...owners.keys()]) ?? []).map((path) => owners.get(path)));
      for (const id of fresh) if (id) hint(id);
    },
    limit: () => (watch ? watchLimit('units', watch.count(), limit) : null),
  };
}

/** Paths that an administrator may change: the unit file, its drop-ins, and the links that enable it (systemd.unit(5)). */
export function unitPaths({ name, content }: UnitSpec): string[] {
  const install = [...(content ?? '').matchAll(/^\s*(WantedBy|RequiredBy|UpheldBy|Alias)\s*=(.*)$/gm)];
  const links = install.flatMap(([, key = '', value = '']) =>
    value
      .trim()
      .split(/\s+/)
      .filter((other) => /^[\w@.:\\-]+$/.test(other))
      .map((other) =>
        key === 'Alias'
          ? `${DIR}/${other}`
          : `${DIR}/${other}.${{ WantedBy: 'wants', RequiredBy: 'requires', UpheldBy: 'upholds' }[key]}/${name}`,
      ),
  );
  return [`${DIR}/${name}`, `${DIR}/${name}.d/*`, ...links];
}
