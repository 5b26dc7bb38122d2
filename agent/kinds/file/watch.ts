/** Watches files, directories and links for changes. */
import type { Watcher } from '../../core/provider.ts';
import type { Desired, ResourceId } from '../../core/types.ts';
import type { InotifyQueue } from '../../system/watch/inotify-queue.ts';
import { createPathWatch, type PathWatch } from '../../system/watch/path-watch.ts';
import { isOwnTemp, watchLimit } from '../../system/watch/watch-limit.ts';
import type { FileSpec } from './spec.ts';

export interface FileWatcherOptions {
  /** '' for this machine, or a directory that stands for `/`. */
  root: string;
  /** Maximum number of watched directories. */
  limit: number;
  queue: InotifyQueue;
}

export function createFileWatcher({ root, limit, queue }: FileWatcherOptions): Watcher {
  let watch: PathWatch | null = null;
  let hint: (id: ResourceId | '*') => void = () => undefined;
  return {
    kinds: ['file'],
    async start(tell, signal) {
      hint = tell;
      // Every change in a purged directory concerns that directory.
      const changed = (path: string) => hint(`file:${path.replace(/\/\*$/, '')}`);
      watch = createPathWatch({ root, limit, queue, ignored: isOwnTemp, changed });
      queue.lossy(() => hint('*'));
      signal.addEventListener('abort', () => watch?.close(), { once: true });
    },
    manage(resources) {
      const files = resources.filter((r): r is Desired<FileSpec> => r.id.startsWith('file:'));
      const paths = files.flatMap(({ spec: { path, type, purge } }) =>
        type === 'directory' && purge ? [path, `${path}/*`] : [path],
      );
      for (const path of watch?.watch(paths) ?? []) if (!path.endsWith('/*')) hint(`file:${path}`);
    },
    limit: () => (watch ? watchLimit('files', watch.count(), limit) : null),
  };
}
