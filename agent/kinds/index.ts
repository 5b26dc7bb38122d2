/** Every kind and its provider. This is the only file that names them all. */

import { randomUUID } from 'node:crypto';
import { type KindTable, kindTable } from '../core/kind.ts';
import { OWN_PATHS, OWN_STORES } from '../core/names/reserved-paths.ts';
import type { Provider, Watcher } from '../core/provider.ts';
import type { Kind, ResourceId } from '../core/types.ts';
import type { Log } from '../log.ts';
import { type ImageRecords, noImageRecords } from '../store/inventory/images.ts';
import { type Records, recordsInMemory } from '../store/records.ts';
import type { Clock } from '../system/clock.ts';
import { createDocker, type Docker } from '../system/docker/docker.ts';
import { syncEngineData } from '../system/docker/engine-data.ts';
import { createDockerEvents } from '../system/docker/events.ts';
import { createCredentials } from '../system/docker/registry-credentials.ts';
import type { Exec } from '../system/exec.ts';
import { createFiles } from '../system/files/files.ts';
import { withoutOwners } from '../system/files/without-owners.ts';
import { createExposures } from '../system/paths/exposed.ts';
import { lookAtPlace } from '../system/place.ts';
import { probe } from '../system/probe.ts';
import { bootId } from '../system/proc/boot-id.ts';
import { createKernelSettings, type KernelSettings } from '../system/proc/kernel-settings.ts';
import { replacedMounts } from '../system/proc/replaced-mounts.ts';
import { holdsAddress, listeningPorts } from '../system/proc/sockets.ts';
import { createSystemdSignals } from '../system/systemd/signals.ts';
import { createSystemd, type Systemd } from '../system/systemd/systemd.ts';
import { createInotifyQueue } from '../system/watch/inotify-queue.ts';
import { check } from './check/kind.ts';
import { createCheckProvider } from './check/provider.ts';
import { createTakeDown } from './container/take-down.ts';
import { guarded } from './docker/guarded.ts';
import { createInspections, type Inspections, telling } from './docker/inspections.ts';
import { network, volume } from './docker/kind.ts';
import { createNetworkProvider } from './docker/network.ts';
import { quoting } from './docker/quoting.ts';
import { createVolumeProvider } from './docker/volume.ts';
import { createOriginals, ORIGINALS_DIR } from './file/act/originals.ts';
import { createReloads } from './file/act/reloads.ts';
import { file } from './file/kind.ts';
import { createFileProvider } from './file/provider.ts';
import { createFileWatcher } from './file/watch.ts';
import { createImages } from './image/images.ts';
import { createPullIntents } from './image/pull-intents.ts';
import { job } from './job/kind.ts';
import { createJobProvider } from './job/provider.ts';
import { createAdoptedDirectories } from './service/data/directories.ts';
import { service } from './service/kind.ts';
import { createServiceMemory } from './service/memory.ts';
import { createServiceProvider } from './service/provider.ts';
import { createEngineWatcher } from './service/watch.ts';
import { sysctl } from './sysctl/kind.ts';
import { createSysctlProvider } from './sysctl/provider.ts';
import { unit } from './unit/kind.ts';
import { createUnitProvider } from './unit/provider.ts';
import { createUnitWatcher } from './unit/watch.ts';

export { createInspections, hostWasDown } from './docker/inspections.ts';
export { DRIFT_DIR } from './file/act/originals.ts';

/** Every kind, as core and engine know it, in the default order of apply; kinds in one group have the same rank. */
export const KINDS: KindTable = kindTable([[sysctl], [network, volume], [file], [unit], [service], [job], [check]]);

export interface ProvidersOptions {
  isRoot: boolean;
  /** '' for this machine, or a directory that stands for `/`. */
  root: string;
  /** A trial with --root: only files below it, no Docker engine, no systemd. */
  filesOnly: boolean;
  dockerSocket: string;
  /** A driver to use instead of the one for that socket. */
  docker?: Docker;
  /** A kernel to use instead of this machine's; null: none, only the settings file is written. */
  kernel?: KernelSettings | null;
  /** Shared with the watchers, which report events to it; left out if there are no watchers. */
  inspections?: Inspections;
  busSocket: string;
  /** A driver to use instead of the one for that bus. */
  systemd?: Systemd;
  stagingDir: string;
  /** Further paths that belong to the agent, e.g. a config file named by --config. */
  own?: readonly string[];
  clock: Clock;
  exec: Exec;
  owned(id: ResourceId): boolean;
  /** Registry credentials and pull history; left out if nothing is pulled, or no history is kept. */
  images?: {
    registries: Readonly<Record<string, { username: string; passwordFile: string }>>;
    records: ImageRecords;
    /** Receives every secret before it is used. */
    secret(secret: string): void;
  };
  /** Durable records about managed resources; left out if nothing outlives this process. */
  records?: Records;
  /** Removes secrets from the output of programs. */
  redact?(text: string): string;
  /** Receives everything that looks like a credential in the Docker engine's data on containers, networks and volumes. */
  found?(credential: string): void;
}

/** In memory, because verified files need not outlive a reboot. */
const UNIT_STAGING_DIR = '/run/fairlead/staging';
/** The Docker engine's default directory of named volumes. */
const VOLUMES = '/var/lib/docker/volumes';
/** The record of host paths that containers could ever write. */
const EXPOSED_FILE = '/var/lib/fairlead/exposed.json';

export function createProviders(options: ProvidersOptions): ReadonlyMap<Kind, Provider> {
  const { exec, stagingDir, owned, clock, root } = options;
  const redact = options.redact ?? ((text: string) => text);
  const exposures = createExposures({ root, always: [...OWN_STORES, VOLUMES], file: EXPOSED_FILE });
  const own = [...OWN_PATHS, ...(options.own ?? [])];
  const driver = createFiles({ root, own, stores: OWN_STORES, exposures, exec });
  const files = options.isRoot ? driver : withoutOwners(driver);
  const originals = createOriginals({ files, dir: ORIGINALS_DIR });
  const ownership = options.isRoot;
  const execRoot = options.filesOnly ? root : '';
  // Another root has no kernel: /proc/sys/net, for example, always belongs to the reader's namespace.
  const kernel = options.kernel ?? (root === '' ? createKernelSettings() : null);
  const systemd = options.systemd ?? createSystemd({ socket: options.busSocket });
  const reloads = createReloads(() => systemd.reload());
  const reloading = options.filesOnly ? {} : { reloads };
  const all: Provider[] = [
    erase(createFileProvider({ files, originals, exec, execRoot, stagingDir, clock, ownership, ...reloading })),
    erase(createSysctlProvider({ files, kernel, originals: `${ORIGINALS_DIR}/sysctls`, ownership, owned })),
  ];
  if (!options.filesOnly) {
    const inspections = options.inspections ?? createInspections(clock.monotonic);
    const engine = quoting(options.docker ?? createDocker({ socket: options.dockerSocket }), {
      redact,
      found: options.found,
    });
    const docker = telling(guarded(engine, { files, exposures }), inspections);
    const { registries = {}, records = noImageRecords(), secret = () => undefined } = options.images ?? {};
    const credentials = createCredentials({ registries, home: '/root', root, exec, secret });
    const remembered = options.records ?? recordsInMemory();
    const memory = createServiceMemory({ clock, owned, records: remembered });
    // If the boot has no id, pulls of another process count as started under another boot.
    const intents = createPullIntents(remembered, bootId(root) || randomUUID());
    const sync = (signal: AbortSignal) => syncEngineData({ docker, exec, root }, signal);
    const lookAt = lookAtPlace(root);
    const holdsAddressOf = (pid: number) => holdsAddress(`${root}/proc/${pid}`);
    all.push(
      erase(
        createUnitProvider({
          systemd,
          reloads,
          files,
          originals,
          exec,
          clock,
          stagingDir: UNIT_STAGING_DIR,
          owned,
          redact,
        }),
      ),
      erase(createNetworkProvider({ docker, owned })),
      erase(
        createVolumeProvider({
          docker,
          owned,
          takeDown: createTakeDown({ docker, clock, inspections, holdsAddress: holdsAddressOf, memory }),
        }),
      ),
      erase(
        createServiceProvider({
          docker,
          images: createImages({ docker, credentials, records, intents, sync, clock }),
          clock,
          inspections,
          exposures,
          memory,
          lookAt,
          replacedMounts: (pid) => replacedMounts(`${root}/proc/${pid}`),
          directories: createAdoptedDirectories({ clock, docker, files, lookAt, records: remembered }),
          holdsAddress: holdsAddressOf,
          taken: { owned, listening: () => listeningPorts(`${root}/proc/self`) },
        }),
      ),
      erase(createJobProvider({ exec, redact })),
      erase(createCheckProvider({ probe, exec, clock, redact })),
    );
  }
  return new Map(all.map((p) => [p.kind, p]));
}

export interface WatchersOptions
  extends Pick<ProvidersOptions, 'root' | 'filesOnly' | 'dockerSocket' | 'busSocket' | 'clock'> {
  /** Some of them have a watcher of their own. */
  providers: ReadonlyMap<Kind, Provider>;
  inspections: Inspections;
  /** Maximum number of directories watched for files; units get a tenth of it. */
  maxWatches: number;
  log: Log;
}

export function createWatchers({
  root,
  filesOnly,
  dockerSocket,
  busSocket,
  clock,
  providers,
  inspections,
  maxWatches,
  log,
}: WatchersOptions): Watcher[] {
  const queue = createInotifyQueue();
  const files = createFileWatcher({ root, limit: maxWatches, queue });
  const own = [...providers.values()].flatMap(({ watcher }) => watcher ?? []);
  if (filesOnly) return [files, ...own];
  return [
    files,
    ...own,
    createUnitWatcher({
      root,
      limit: Math.ceil(maxWatches / 10),
      queue,
      signals: (listener) => createSystemdSignals({ socket: busSocket, clock, log, ...listener }),
    }),
    createEngineWatcher({ events: createDockerEvents({ socket: dockerSocket, clock, log }), inspections, log }),
  ];
}

/** The engine knows ids and hashes, not specs: a provider only receives specs and facts of its own kind. */
const erase = <S, F>(provider: Provider<S, F>): Provider => provider as unknown as Provider;
