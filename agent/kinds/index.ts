/** Every kind and its provider: the one place that names them all. */
import type { Provider } from '../core/provider.ts';
import type { Kind, ResourceId } from '../core/types.ts';
import type { Clock } from '../system/clock.ts';
import { createDocker } from '../system/docker.ts';
import type { Exec } from '../system/exec.ts';
import { createFiles } from '../system/files.ts';
import { createSystemd } from '../system/systemd.ts';
import { createFileProvider } from './file.ts';
import { createNetworkProvider } from './network.ts';
import { createServiceProvider } from './service.ts';
import { createUnitProvider } from './unit.ts';
import { createVolumeProvider } from './volume.ts';

export interface ProvidersOptions {
  isRoot: boolean;
  /** '' for this machine, or a directory that stands for `/`. */
  root: string;
  /** A trial with --root: files below it, no engine, no systemd. */
  filesOnly: boolean;
  dockerSocket: string;
  busSocket: string;
  stagingDir: string;
  clock: Clock;
  exec: Exec;
  owned(id: ResourceId): boolean;
}

export function createProviders(options: ProvidersOptions): ReadonlyMap<Kind, Provider> {
  const files = createFiles(options.root);
  const all: Provider[] = [erase(createFileProvider({ files, ownership: options.isRoot }))];
  if (!options.filesOnly) {
    const docker = createDocker({ socket: options.dockerSocket });
    const systemd = createSystemd({ socket: options.busSocket });
    const { exec, stagingDir, owned, clock } = options;
    all.push(
      erase(createUnitProvider({ systemd, files, exec, stagingDir, owned })),
      erase(createNetworkProvider({ docker })),
      erase(createVolumeProvider({ docker })),
      erase(createServiceProvider({ docker, clock })),
    );
  }
  return new Map(all.map((p) => [p.kind, p]));
}

/** The engine knows ids and hashes, not specs: a provider only ever meets specs and facts of its own kind. */
const erase = <S, F>(provider: Provider<S, F>): Provider => provider as unknown as Provider;
