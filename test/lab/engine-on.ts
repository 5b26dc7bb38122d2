/** The agent's own engine in this process, at work on a lab host: its files and sockets are reached through its init's root. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { unrecorded } from '../../agent/core/trust.ts';
import type { ResourceId } from '../../agent/core/types.ts';
import { createLoader } from '../../agent/engine/load/load.ts';
import { requestFor } from '../../agent/engine/run/create-run.ts';
import { type RunResult, reconcile } from '../../agent/engine/run/reconcile.ts';
import type { EngineDeps, Loaded, RunRequest } from '../../agent/engine/types.ts';
import { createProviders, KINDS } from '../../agent/kinds/index.ts';
import { silentLog } from '../../agent/log.ts';
import { createRedactor } from '../../agent/secrets/redact.ts';
import { openStore, type Store } from '../../agent/store/db.ts';
import { createSnapshots } from '../../agent/store/snapshots.ts';
import { systemClock } from '../../agent/system/clock.ts';
import { createDocker, type Docker } from '../../agent/system/docker.ts';
import { type Exec, exec } from '../../agent/system/exec.ts';
import { createCredentials } from '../../agent/system/registry-credentials.ts';
import { checkoutOf, facts, keyedHash, type Repo, sha256 } from '../unit/repo.ts';
import type { LabHost } from './lab.ts';

export interface EngineOn {
  deps: EngineDeps;
  store: Store;
  /** One run on these files of the host's directory. A commit that does not settle stays. */
  apply(files: Repo, signal?: AbortSignal, asked?: Partial<RunRequest>): Promise<RunResult>;
  /** The last files again, as a schedule would; or as a person asks for it. */
  again(asked?: Partial<RunRequest>): Promise<RunResult>;
  /** What would be loaded of these files. */
  load(files: Repo): Promise<Loaded>;
  close(): void;
}

export interface EngineOnOptions {
  /** The way back is taken; otherwise one sees what a commit does, and it stays. */
  rollback?: boolean;
  /** As whom images are pulled. */
  registries?: Record<string, { username: string; passwordFile: string }>;
  /** Stands between the providers and the host's Docker engine. */
  docker?: (real: Docker) => Docker;
}

/** Begins with an empty memory: each engine is a first start. */
export async function engineOn(host: LabHost, options: EngineOnOptions = {}): Promise<EngineOn> {
  const pid = await host.pid();
  const root = `/proc/${pid}/root`;
  const dir = mkdtempSync(path.join(os.tmpdir(), 'fairlead-engine-'));
  const dockerSocket = `${root}/run/docker.sock`;
  const redactor = createRedactor();
  const store = openStore({ dir, now: () => new Date(), log: silentLog });
  const inHost: Exec = (argv, options) =>
    exec(['nsenter', '-t', String(pid), '-m', '-u', '-i', '-n', '-p', '--', ...argv], options);
  const providers = createProviders({
    isRoot: true,
    root,
    filesOnly: false,
    dockerSocket,
    busSocket: `${root}/run/dbus/system_bus_socket`,
    stagingDir: '/var/lib/fairlead/staging',
    clock: systemClock,
    exec: inHost,
    owned: (id) => store.inventory.owned(id),
    images: { registries: options.registries ?? {}, records: store.images, secret: redactor.add },
    ...(options.docker ? { docker: options.docker(createDocker({ socket: dockerSocket })) } : {}),
  });
  let commits = 0;
  let repo: Repo = {};
  const checkout = () => checkoutOf(repo, 'hosts/h', String(commits).padStart(40, '0'));
  const load = createLoader({
    ...{ host: 'h', fleet: 'default', labels: {}, treeRoot: '/var/lib/fairlead/tree' },
    ...{ facts, sha256, keyedHash, kinds: KINDS, providers },
    logins: createCredentials({
      registries: options.registries ?? {},
      home: '/root',
      root,
      exec: inHost,
      secret: redactor.add,
    }).config,
  });
  const deps: EngineDeps = {
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
      if (options.rollback) return loaded;
      return { ...loaded, host: { ...loaded.host, rollback: 'off' } };
    },
    redact: redactor.deep,
    endpoints: [],
    kinds: KINDS,
    providers,
    store,
    snapshots: createSnapshots(path.join(dir, 'accepted')),
    clock: systemClock,
    log: silentLog,
  };
  const run = (signal: AbortSignal, asked: Partial<RunRequest> = {}) =>
    reconcile(deps, { ...requestFor(signal), allowPrune: true, ...asked });
  const use = (files: Repo) => {
    repo = Object.fromEntries(Object.entries(files).map(([name, body]) => [`hosts/h/${name}`, body]));
    commits++;
  };
  return {
    deps,
    store,
    apply(files, signal = new AbortController().signal, asked = {}) {
      use(files);
      return run(signal, asked);
    },
    again: (asked) => run(new AbortController().signal, asked),
    load(files) {
      use(files);
      return deps.load(checkout());
    },
    close() {
      store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** `op id result`, in the order in which it was done. */
export const done = ({ outcome }: RunResult): string[] => outcome.actions.map((a) => `${a.op} ${a.id} ${a.result}`);

/** Reasons of one resource's action. */
export const whyOf = ({ outcome }: RunResult, id: ResourceId) => outcome.actions.find((a) => a.id === id)?.why ?? [];
