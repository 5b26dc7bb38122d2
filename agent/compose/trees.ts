/** What services mount by relative path: kept as ordinary managed files below one path that never changes. Pure. */
import type { FileSpec } from '../core/specs.ts';
import type { Desired, ResourceId } from '../core/types.ts';
import type { StackInput } from './index.ts';
import type { KeyPath } from './node.ts';

export interface Trees {
  /**
   * `repo` in the repository lies at `path` on the host.
   * @returns resources to be there before the container starts; a mount of a single file restarts `service` when it changes
   */
  mount(repo: string, path: string, service: ResourceId, at: KeyPath): ResourceId[];
  resources(): Desired<FileSpec>[];
}

type Make = <S>(id: ResourceId, path: KeyPath, spec: S, more?: Partial<Desired<S>>) => Desired<S>;

export function createTrees(input: StackInput, make: Make): Trees {
  const made = new Map<string, Desired<FileSpec>>();
  const meta = { owner: 'root', group: 'root', secret: false };
  const add = (path: string, at: KeyPath, spec: Omit<FileSpec, 'path' | keyof typeof meta>): Desired<FileSpec> => {
    const known = made.get(path);
    if (known) return known;
    const parent = made.get(path.slice(0, path.lastIndexOf('/')));
    const fresh = make<FileSpec>(`file:${path}`, at, { path, ...spec, ...meta }, { after: parent ? [parent.id] : [] });
    made.set(path, fresh);
    return fresh;
  };
  return {
    mount(repo, path, service, at) {
      const bytes = input.payload.get(repo);
      if (bytes !== undefined) {
        const file = add(path, at, { type: 'file', content: bytes, mode: 0o644 });
        // Our rename leaves the old inode in the running container.
        if (!file.notify.includes(service)) made.set(path, { ...file, notify: [...file.notify, service] });
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
