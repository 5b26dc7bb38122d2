/** Observes files. If a file is unchanged, its fact is the same object as before. */
import type { Provider } from '../../../core/provider.ts';
import type { ResourceId, Seen } from '../../../core/types.ts';
import type { Accounts } from '../../../system/files/accounts.ts';
import type { FileStat, Files } from '../../../system/files/types.ts';
import type { Originals } from '../act/originals.ts';
import { foreignIn } from '../act/purge.ts';
import type { FileFact } from '../diff.ts';
import { type FileSpec, pathOf } from '../spec.ts';
import type { FileHashes } from './hash.ts';
import { lookAtAll } from './look.ts';

export interface ObserverOptions {
  files: Files;
  originals: Originals;
  accounts: Accounts;
  hashes: FileHashes;
  /** False if all files belong to the agent's user. */
  ownership: boolean;
}

const NOTHING = {
  type: 'missing' as const,
  mode: 0,
  owner: '',
  group: '',
  uid: 0,
  gid: 0,
  size: 0,
  links: 0,
};

export function createObserver(options: ObserverOptions): Provider<FileSpec, FileFact>['observe'] {
  const { files, originals, accounts, hashes, ownership } = options;
  /** The last observation of each file. */
  const last = new Map<ResourceId, { stat: FileStat; seen: Seen<FileFact> }>();
  return async (ids, _signal, wants, { healthAlone = false } = {}) => {
    const stats = await lookAtAll(hashes, ids.map(pathOf), wants, healthAlone);
    const seen = new Map<ResourceId, Seen<FileFact>>();
    const names = accounts.names();
    for (const id of ids) {
      const file = pathOf(id);
      const stat = stats.get(file);
      const want = wants?.get(id)?.spec;
      if (stat === undefined) {
        last.delete(id);
        // fairlead removed something at this path, which is restored when the entry is removed.
        if (wants !== undefined && want === undefined && originals.paths(id).length > 0)
          seen.set(id, { fact: { ...NOTHING } });
        continue;
      }
      if (stat instanceof Error) {
        last.delete(id);
        seen.set(id, { fact: { ...NOTHING, type: 'other', problem: stat.message } });
        continue;
      }
      const owner = ownership ? names.user(stat.uid) : 'root';
      const group = ownership ? names.group(stat.gid) : 'root';
      const before = last.get(id);
      if (before?.stat === stat && before.seen.fact.owner === owner && before.seen.fact.group === group) {
        seen.set(id, before.seen);
        continue;
      }
      const { type, mode, uid, gid, size, links, sha256 } = stat;
      const fact: FileFact = { type, mode, owner, group, uid, gid, size, links, ...(sha256 ? { sha256 } : {}) };
      try {
        if (stat.type === 'link') fact.target = files.readlink(file);
        if (stat.type === 'directory' && want?.purge) fact.foreign = foreignIn(files, file, want.keep ?? []);
      } catch (thrown) {
        fact.problem = thrown instanceof Error ? thrown.message : String(thrown);
      }
      const found = { fact };
      seen.set(id, found);
      if (sha256 === undefined) last.delete(id);
      else last.set(id, { stat, seen: found });
    }
    return seen;
  };
}
