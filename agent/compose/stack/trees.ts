/** Repository files that services mount by relative path: kept as ordinary managed files below one stable path. Pure. */

import type { HostPath } from '../../core/names/host-path.ts';
import { type Content, contentOf, modeOf } from '../../core/payload/payload.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { ComposeFileMount } from '../load/types.ts';
import type { KeyPath } from '../yaml/node.ts';
import { fileId } from './ids.ts';
import type { StackInput } from './input.ts';

export interface Trees {
  /**
   * @returns resources to be there before the container starts
   */
  mount(mounted: MountedTree, service: ResourceId, at: KeyPath): ResourceId[];
  /** Bytes that are mounted as a file of their own, at `path`, below a directory that only root may enter. */
  keep(path: string, bytes: Uint8Array, service: ResourceId, at: KeyPath, how: ComposeFileMount): ResourceId[];
  /** @param observed services in observe mode: a file that only they mount is observed, too */
  resources(observed: ReadonlySet<ResourceId>): Desired<HostPath>[];
}

export interface MountedTree {
  /** Path in the repository, of a file or a directory. */
  repo: string;
  /** Path on the host. */
  path: string;
  /** The file is delivered encrypted, as it is in git. */
  isKept?: boolean;
}

type Make = <S>(id: ResourceId, path: KeyPath, spec: S, more?: Partial<Desired<S>>) => Desired<S>;

/** Root's, and no secret, where nothing else is said. */
type Given = Omit<HostPath, 'path' | 'owner' | 'group' | 'secret'> &
  Partial<Pick<HostPath, 'owner' | 'group' | 'secret'>>;

/** @param existing treatment of existing files */
export function createTrees(input: StackInput, make: Make, existing: Pick<HostPath, 'existing'>): Trees {
  const made = new Map<string, Desired<HostPath>>();
  const meta = { owner: 'root', group: 'root', secret: false };
  const add = (path: string, at: KeyPath, spec: Given): Desired<HostPath> => {
    const known = made.get(path);
    if (known) return known;
    const parent = made.get(path.slice(0, path.lastIndexOf('/')));
    const fresh = make<HostPath>(fileId(path), at, { path, ...meta, ...spec }, { after: parent ? [parent.id] : [] });
    made.set(path, fresh);
    return fresh;
  };
  const users = new Map<ResourceId, Set<ResourceId>>();
  const usedBy = (service: ResourceId, ids: readonly ResourceId[]): ResourceId[] => {
    for (const id of ids) users.set(id, (users.get(id) ?? new Set()).add(service));
    return [...new Set(ids)];
  };
  return {
    keep(path, bytes, service, at, { uid, gid, mode }) {
      const dir = path.slice(0, path.lastIndexOf('/'));
      const root = dir.slice(0, dir.lastIndexOf('/'));
      const parents = [root, dir].map((parent) => add(parent, at, { type: 'directory', mode: 0o700 }).id);
      const owner = { owner: uid ?? 'root', group: gid ?? 'root', secret: true };
      const file = add(path, at, { type: 'file', content: bytes, mode: Number.parseInt(mode ?? '0444', 8), ...owner });
      return usedBy(service, [...parents, file.id]);
    },
    mount({ repo, path, isKept = false }, service, at) {
      const payload = isKept ? (input.sealed ?? input.payload) : input.payload;
      const put = (file: string, place: string, content: Content) =>
        add(place, at, {
          type: 'file',
          content,
          mode: modeOf(payload, file),
          secret: payload.secret?.(file) ?? false,
          ...existing,
        }).id;
      const single = contentOf(payload, repo);
      if (single !== undefined) return usedBy(service, [put(repo, path, single)]);
      const directory = { type: 'directory', mode: 0o755, ...existing } as const;
      const after = [add(path, at, directory).id];
      for (const file of [...payload.keys()].filter((f) => f.startsWith(`${repo}/`)).sort()) {
        const parts = file.slice(repo.length + 1).split('/');
        for (let n = 1; n < parts.length; n++)
          after.push(add(`${path}/${parts.slice(0, n).join('/')}`, at, directory).id);
        after.push(put(file, `${path}/${parts.join('/')}`, contentOf(payload, file) ?? new Uint8Array()));
      }
      return usedBy(service, after);
    },
    resources: (observed) =>
      [...made.values()].map((file) =>
        [...(users.get(file.id) ?? [])].every((service) => observed.has(service)) ? { ...file, mode: 'observe' } : file,
      ),
  };
}
