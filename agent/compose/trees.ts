/** What services mount by relative path: kept as ordinary managed files below one path that never changes. Pure. */
import type { KeyPath } from '../../manifests-schema/yaml.ts';
import type { FileSpec } from '../core/specs.ts';
import type { Desired, ResourceId } from '../core/types.ts';
import type { StackInput } from './index.ts';

export interface Tree {
  /** Absolute path on the host. */
  path: string;
  /** Resources to be there before the container starts. */
  after: ResourceId[];
}

export interface Trees {
  /** null where the path leaves the stack's directory. A mount of a single file restarts `service` when it changes. */
  mount(relative: string, service: ResourceId, at: KeyPath): Tree | null;
  resources(): Desired<FileSpec>[];
}

type Make = <S>(id: ResourceId, path: KeyPath, spec: S, more?: Partial<Desired<S>>) => Desired<S>;

export function createTrees(input: StackInput, make: Make): Trees {
  const made = new Map<string, Desired<FileSpec>>();
  const meta = { owner: 'root', group: 'root', secret: false };
  const add = (inRepo: string, at: KeyPath, spec: Omit<FileSpec, 'path' | keyof typeof meta>): Desired<FileSpec> => {
    const path = `${input.treeRoot}/${inRepo}`;
    const known = made.get(path);
    if (known) return known;
    const parent = made.get(path.slice(0, path.lastIndexOf('/')));
    const fresh = make<FileSpec>(`file:${path}`, at, { path, ...spec, ...meta }, { after: parent ? [parent.id] : [] });
    made.set(path, fresh);
    return fresh;
  };
  return {
    mount(relative, service, at) {
      const inRepo = resolve(input.dir, relative);
      if (inRepo === null) return null;
      const path = `${input.treeRoot}/${inRepo}`;
      const bytes = input.payload.get(inRepo);
      if (bytes !== undefined) {
        const file = add(inRepo, at, { type: 'file', content: bytes, mode: 0o644 });
        // Our rename leaves the old inode in the running container.
        if (!file.notify.includes(service)) made.set(path, { ...file, notify: [...file.notify, service] });
        return { path, after: [file.id] };
      }
      const after = [add(inRepo, at, { type: 'directory', mode: 0o755 }).id];
      for (const file of [...input.payload.keys()].filter((f) => f.startsWith(`${inRepo}/`)).sort()) {
        const parts = file.slice(inRepo.length + 1).split('/');
        for (let n = 1; n < parts.length; n++)
          after.push(add(`${inRepo}/${parts.slice(0, n).join('/')}`, at, { type: 'directory', mode: 0o755 }).id);
        after.push(
          add(file, at, { type: 'file', content: input.payload.get(file) ?? new Uint8Array(), mode: 0o644 }).id,
        );
      }
      return { path, after: [...new Set(after)] };
    },
    resources: () => [...made.values()],
  };
}

/** A path relative to `dir`, in the repository; null where it leaves `dir`. */
export function resolve(dir: string, relative: string): string | null {
  const parts = dir.split('/');
  for (const part of relative.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  const path = parts.join('/');
  return path === dir || path.startsWith(`${dir}/`) ? path : null;
}
