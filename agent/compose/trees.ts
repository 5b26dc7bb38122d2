/** What services mount by relative path: kept as ordinary managed files below one path that never changes. Pure. */
import type { FileSpec } from '../core/specs.ts';
import type { Desired, ResourceId } from '../core/types.ts';
import type { StackInput } from './index.ts';
import type { KeyPath } from './node.ts';
import type { ComposeFileMount } from './types.ts';

export interface Trees {
  /**
   * `repo` in the repository lies at `path` on the host.
   * @returns resources to be there before the container starts; a mount of a single file restarts `service` when it changes
   */
  mount(repo: string, path: string, service: ResourceId, at: KeyPath): ResourceId[];
  /** Bytes that are mounted as a file of their own, at `path`, below a directory that only root may enter. */
  keep(path: string, bytes: Uint8Array, service: ResourceId, at: KeyPath, how: ComposeFileMount): ResourceId[];
  resources(): Desired<FileSpec>[];
}

type Make = <S>(id: ResourceId, path: KeyPath, spec: S, more?: Partial<Desired<S>>) => Desired<S>;

/** Root's, and no secret, where nothing else is said. */
type Given = Omit<FileSpec, 'path' | 'owner' | 'group' | 'secret'> &
  Partial<Pick<FileSpec, 'owner' | 'group' | 'secret'>>;

export function createTrees(input: StackInput, make: Make): Trees {
  const made = new Map<string, Desired<FileSpec>>();
  const meta = { owner: 'root', group: 'root', secret: false };
  const add = (path: string, at: KeyPath, spec: Given): Desired<FileSpec> => {
    const known = made.get(path);
    if (known) return known;
    const parent = made.get(path.slice(0, path.lastIndexOf('/')));
    const fresh = make<FileSpec>(`file:${path}`, at, { path, ...meta, ...spec }, { after: parent ? [parent.id] : [] });
    made.set(path, fresh);
    return fresh;
  };
  /** Our rename leaves the old inode in the running container. */
  const restarts = (file: Desired<FileSpec>, service: ResourceId) => {
    const path = file.spec.path;
    if (!file.notify.includes(service)) made.set(path, { ...file, notify: [...file.notify, service] });
  };
  return {
    keep(path, bytes, service, at, { uid, gid, mode }) {
      const dir = path.slice(0, path.lastIndexOf('/'));
      const root = dir.slice(0, dir.lastIndexOf('/'));
      const parents = [root, dir].map((parent) => add(parent, at, { type: 'directory', mode: 0o700 }).id);
      const owner = { owner: uid ?? 'root', group: gid ?? 'root', secret: true };
      const file = add(path, at, { type: 'file', content: bytes, mode: mode ?? 0o444, ...owner });
      restarts(file, service);
      return [...parents, file.id];
    },
    mount(repo, path, service, at) {
      const bytes = input.payload.get(repo);
      if (bytes !== undefined) {
        const file = add(path, at, { type: 'file', content: bytes, mode: 0o644 });
        restarts(file, service);
        return [file.id];
      }
      const after = [add(path, at, { type: 'directory', mode: 0o755 }).id];
      for (const file of [...input.payload.keys()].filter((f) => f.startsWith(`${repo}/`)).sort()) {
        const parts = file.slice(repo.length + 1).split('/');
        for (let n = 1; n < parts.length; n++)
          after.push(add(`${path}/${parts.slice(0, n).join('/')}`, at, { type: 'directory', mode: 0o755 }).id);
        const content = input.payload.get(file) ?? new Uint8Array();
        after.push(add(`${path}/${parts.join('/')}`, at, { type: 'file', content, mode: 0o644 }).id);
      }
      return [...new Set(after)];
    },
    resources: () => [...made.values()],
  };
}
