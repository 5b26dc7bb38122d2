/** Whether a path that a container mounts holds data that cannot be recreated. */
import type { VolumeSpec } from '../../../compose/stack/model.ts';
import { volumePaths } from '../../../core/names/volume-paths.ts';
import type { Around } from '../../../core/provider.ts';
import type { ResourceId } from '../../../core/types.ts';
import type { VolumeInfo } from '../../../system/docker/docker.ts';
import type { LookAtPlace } from '../../../system/place.ts';

/** The place of a mount's content: a path; nothing yet; or a place that cannot be examined without mounting it. */
export type Where = { path: string } | 'missing' | 'elsewhere';

/** Created by ext4 in every file system whose root may be mounted. */
const NOT_DATA = ['lost+found'];
const DEEPEST = 4;

export interface DataOptions {
  lookAt: LookAtPlace;
  around: Around;
  volumes: readonly VolumeInfo[];
}

export function createDataLook({ lookAt, around, volumes }: DataOptions) {
  const declared = [...around.declared.values()].flatMap(({ id, spec }) =>
    id.startsWith('volume:') ? [spec as VolumeSpec] : [],
  );
  const isManaged = (path: string) => around.isManaged(`file:${path}` as ResourceId);
  /** @param besides the same name below this path is managed, or will be */
  async function holds(path: string, besides: string | null, depth = 0): Promise<boolean> {
    const seen = await lookAt(path);
    if (seen.kind === 'file') return seen.bytes > 0 && !isManaged(path);
    if (seen.kind !== 'directory') return false;
    for (const name of seen.names) {
      if (NOT_DATA.includes(name)) continue;
      const [own, other] = [`${path}/${name}`, besides === null ? null : `${besides}/${name}`];
      if (!isManaged(own) && (other === null || !isManaged(other))) return true;
      // A managed directory may contain unmanaged files.
      if (depth < DEEPEST && (await holds(own, other, depth + 1))) return true;
    }
    return false;
  }
  return {
    holds,
    /** Whether a container would find nothing there except files of the repository. False if that is unknown. */
    async isEmpty(where: Where): Promise<boolean> {
      if (typeof where === 'string') return where === 'missing';
      if ((await lookAt(where.path)).kind === 'unknown') return false;
      return !(await holds(where.path, null));
    },
    /** The place of a volume's content. @param name its name on the Docker engine */
    volume(name: string): Where {
      const found = volumes.find((v) => v.Name === name);
      const spec = declared.find((v) => v.name === name);
      const options = found?.Options ?? spec?.driverOptions ?? {};
      // A container does not see the layers of an overlay directly.
      const [bound, ...more] = volumePaths(options);
      if (bound && more.length === 0 && bound.path === options.device) return { path: bound.path };
      if ((found?.Driver ?? spec?.driver ?? 'local') !== 'local' || Object.keys(options).length > 0) return 'elsewhere';
      return found ? { path: found.Mountpoint } : 'missing';
    },
    /** Whether its content may be deleted without asking. */
    isDisposable: (name: string) =>
      declared.some((v) => v.name === name && v.prune) ||
      around.gone.some(
        ({ id, seen }) =>
          id.startsWith('volume:') &&
          (seen?.fact as { name?: string } | undefined)?.name === name &&
          seen?.mark?.memo?.prune === true,
      ),
  };
}
