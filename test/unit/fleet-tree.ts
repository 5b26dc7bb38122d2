/** A fleet repository in memory, as the objects that git would create for it. */
import { idOf, MissingObject, type ObjectType } from '../../agent/git/pack/objects.ts';
import type { FleetTree } from '../../agent/repo/tree.ts';

/** @param executable paths of files with mode 100755 */
export function treeOf(files: Record<string, string>, executable: readonly string[] = []): FleetTree {
  const objects = new Map<string, Uint8Array>();
  const put = (type: ObjectType, bytes: Uint8Array): string => {
    const oid = idOf({ type, bytes });
    objects.set(oid, bytes);
    return oid;
  };
  const build = (prefix: string): string => {
    const names = new Set<string>();
    for (const file of Object.keys(files))
      if (file.startsWith(prefix)) names.add(file.slice(prefix.length).split('/')[0] ?? '');
    const parts = [...names].sort().flatMap((name) => {
      const at = prefix + name;
      const text = files[at];
      const mode = text === undefined ? '40000' : executable.includes(at) ? '100755' : '100644';
      const oid = text === undefined ? build(`${at}/`) : put('blob', Buffer.from(text));
      return [Buffer.from(`${mode} ${name}\0`), Buffer.from(oid, 'hex')];
    });
    return put('tree', Buffer.concat(parts));
  };
  return {
    name: 'memory',
    source: 'directory',
    commit: null,
    root: build(''),
    objects: {
      has: async () => true,
      lacking: async () => [],
      async read(oid) {
        const bytes = objects.get(oid);
        if (bytes === undefined) throw new MissingObject(oid);
        return bytes;
      },
    },
    differences: async () => null,
    close() {},
  };
}
