/** The agent's own engine in this process, over any providers: those of a lab host, or of one in memory. */
import { rmSync } from 'node:fs';
import path from 'node:path';
import { unrecorded } from '../agent/core/trust.ts';
import type { Checkout, ResourceId } from '../agent/core/types.ts';
import { askDirectories, createLoader } from '../agent/engine/load/load.ts';
import { requestFor } from '../agent/engine/run/create-run.ts';
import { type RunResult, reconcile } from '../agent/engine/run/reconcile.ts';
import { createBackgroundWork } from '../agent/engine/steps/background.ts';
import { createBackoff } from '../agent/engine/steps/backoff.ts';
import type { EngineDeps, Loaded, RunRequest } from '../agent/engine/types.ts';
import { createProviders, KINDS, type ProvidersOptions } from '../agent/kinds/index.ts';
import { silentLog } from '../agent/log.ts';
import { createRedactor } from '../agent/secrets/redact.ts';
import { openStore, type Store } from '../agent/store/db.ts';
import { createSnapshots } from '../agent/store/snapshots.ts';
import { createCredentials } from '../agent/system/docker/registry-credentials.ts';
import { inMemory } from './scratch.ts';
import { checkoutOf, facts, keyedHash, type Repo, sha256 } from './unit/repo.ts';

export interface Reconciler {
  readonly deps: EngineDeps;
  readonly store: Store;
  /** One run on these files of the host's directory. A commit that does not settle stays. */
  apply(files: Repo, signal?: AbortSignal, asked?: Partial<RunRequest>): Promise<RunResult>;
  /** Runs the last files again, as a schedule would; or as a person requests it. */
  again(asked?: Partial<RunRequest>): Promise<RunResult>;
  /** What would be loaded from these files. */
  load(files: Repo): Promise<Loaded>;
  /** Kills the process at any point; the next one starts with the state on the disk. */
  restart(): void;
  close(): void;
}

export interface ReconcilerOptions {
  /** The host: its drivers, its files, its clock. */
  host: Omit<ProvidersOptions, 'owned' | 'images'>;
  /** With rollback; otherwise the state of a commit stays, so that a test can see it. */
  rollback?: boolean;
  /** Credentials for pulls. */
  registries?: Record<string, { username: string; passwordFile: string }>;
}

/** Starts with an empty memory: each is a first start. */
export function createReconciler(options: ReconcilerOptions): Reconciler {
  // In memory if possible.
  const dir = inMemory('engine');
  let commits = 0;
  let repo: Repo = {};
  const checkout = () => checkoutOf(repo, 'hosts/h', String(commits).padStart(40, '0'));
  let deps = open(options, dir, checkout);
  const run = (signal: AbortSignal, asked: Partial<RunRequest> = {}) =>
    reconcile(deps, { ...requestFor(signal), allowPrune: true, ...asked });
  const use = (files: Repo) => {
    repo = Object.fromEntries(Object.entries(files).map(([name, body]) => [`hosts/h/${name}`, body]));
    commits++;
  };
  return {
    get deps() {
      return deps;
    },
    get store() {
      return deps.store;
    },
    apply(files, signal = new AbortController().signal, asked = {}) {
      use(files);
      return run(signal, asked);
    },
    again: (asked) => run(new AbortController().signal, asked),
    load(files) {
      use(files);
      return deps.load(checkout());
    },
    restart() {
      deps.store.close();
      deps = open(options, dir, checkout);
    },
    close() {
      deps.store.close();
      rmSync(dir, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

/** The parts of one process, over the state that the previous one left on the disk. */
function open(
  { host, rollback = false, registries = {} }: ReconcilerOptions,
  dir: string,
  checkout: () => Checkout,
): EngineDeps & { store: Store } {
  const { clock, root, exec } = host;
  const redactor = createRedactor();
  const store = openStore({ dir, now: clock.now, log: silentLog });
  const providers = createProviders({
    ...host,
    owned: (id) => store.inventory.owned(id),
    images: { registries, records: store.images, secret: redactor.add },
    records: store.records,
  });
  const load = createLoader({
    ...{ host: 'h', fleet: 'default', labels: {}, treeRoot: '/var/lib/fairlead/tree' },
    ...{ facts, sha256, keyedHash, kinds: KINDS, providers },
    directories: () => askDirectories(providers),
    logins: createCredentials({ registries, home: '/root', root, exec, secret: redactor.add }).config,
  });
  return {
    source: {
      id: 'memory',
      vouchesFor: () => true,
      policy: () => '',
      head: async () => checkout().info.commit,
      review: async (commit) => ({ info: checkout().info, hold: null, provenance: unrecorded('memory', commit) }),
      checkout: async () => checkout(),
    },
    load: async (checkout) => {
      const loaded = await load(checkout);
      if (rollback) return loaded;
      return { ...loaded, host: { ...loaded.host, rollback: 'off' } };
    },
    redact: redactor.deep,
    endpoints: [],
    kinds: KINDS,
    providers,
    store,
    stateDir: dir,
    snapshots: createSnapshots(path.join(dir, 'accepted')),
    clock,
    log: silentLog,
    background: createBackgroundWork(),
    backoff: createBackoff({ clock, random: () => 0 }),
  };
}

/** `op id result`, in order of execution. */
export const done = ({ outcome }: RunResult): string[] => outcome.actions.map((a) => `${a.op} ${a.id} ${a.result}`);

/** Reasons of one resource's action. */
export const whyOf = ({ outcome }: RunResult, id: ResourceId) => outcome.actions.find((a) => a.id === id)?.why ?? [];
