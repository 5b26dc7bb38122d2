/** Directories of stacks that already run: fairlead keeps the directory from which `docker compose` started them. */

import { setTimeout as sleep } from 'node:timers/promises';
import { isWithin, pathProblem } from '../../../core/names/reserved-paths.ts';
import type { Directories } from '../../../core/provider.ts';
import type { Records } from '../../../store/records.ts';
import type { Clock } from '../../../system/clock.ts';
import type { ContainerSummary, Docker } from '../../../system/docker/docker.ts';
import type { Files } from '../../../system/files/types.ts';
import type { LookAtPlace } from '../../../system/place.ts';
import { HASH, isReplica, PROJECT, WORKING_DIR } from '../../docker/labels.ts';

export interface AdoptedDirectories {
  look(): Promise<Directories>;
  /**
   * A service of the project is adopted: from now on the directory is known without its containers. Durable when it returns.
   */
  keep(project: string, directory: string): void;
}

/** Listing containers takes milliseconds. Reading a commit waits no longer for a Docker engine that hangs. */
const ANSWER_MS = 10_000;
/** How long a hanging engine is not asked again, because a run reads a commit several times. */
const AWAY_MS = 60_000;

export interface DirectoriesOptions {
  clock: Pick<Clock, 'monotonic'>;
  docker: Pick<Docker, 'containers'>;
  files: Pick<Files, 'checkSource'>;
  lookAt: LookAtPlace;
  records: Records;
}

export function createAdoptedDirectories({
  clock,
  docker,
  files,
  lookAt,
  records,
}: DirectoriesOptions): AdoptedDirectories {
  const keyOf = (project: string) => `directory ${project}`;
  const recorded = (project: string): string | null => {
    const found = records.get(keyOf(project));
    return typeof found === 'string' ? found : null;
  };
  /** Directories that were found and are not adopted yet. */
  let found: ReadonlyMap<string, string> = new Map();
  let awayUntil = Number.NEGATIVE_INFINITY;
  /** null while Docker is down or hangs. */
  const listed = async (): Promise<readonly ContainerSummary[] | null> => {
    if (clock.monotonic() < awayUntil) return null;
    const answered = new AbortController();
    const late = sleep(ANSWER_MS, null, { signal: answered.signal, ref: false });
    const all = await Promise.race([docker.containers(), late])
      .catch(() => null)
      .finally(() => answered.abort());
    awayUntil = all === null ? clock.monotonic() + AWAY_MS : Number.NEGATIVE_INFINITY;
    return all;
  };
  const isUsable = async (directory: string): Promise<boolean> => {
    if (pathProblem(directory) !== null) return false;
    try {
      files.checkSource(directory);
    } catch {
      return false;
    }
    return (await lookAt(directory)).kind === 'directory';
  };
  return {
    async look() {
      const all = await listed();
      if (all === null) return { of: recorded, isSure: false };
      const named = new Map<string, string>();
      const members = all.filter((c) => c.Labels[PROJECT] !== undefined && isReplica(c.Labels));
      for (const [project, group] of Map.groupBy(members, (c) => c.Labels[PROJECT] ?? '')) {
        const directory = directoryOf(group);
        if (directory !== null && recorded(project) === null && (await isUsable(directory)))
          named.set(project, directory);
      }
      found = named;
      return { of: (project) => recorded(project) ?? named.get(project) ?? null, isSure: true };
    },
    keep(project, directory) {
      if (found.get(project) === directory) records.set(keyOf(project), directory);
    },
  };
}

/** The one directory that all containers name, and from which they mount something; null if there is none. */
function directoryOf(containers: readonly ContainerSummary[]): string | null {
  // A container that fairlead created uses the directory of its stack.
  if (containers.some((c) => c.Labels[HASH] !== undefined)) return null;
  const named = new Set(containers.map((c) => c.Labels[WORKING_DIR] ?? ''));
  const [directory = ''] = named;
  if (named.size !== 1 || directory === '') return null;
  const holds = containers.some((c) => c.Mounts.some((m) => m.Type === 'bind' && isWithin(m.Source ?? '', directory)));
  return holds ? directory : null;
}
