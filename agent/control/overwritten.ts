/** The bytes that repairs overwrote, as history names them and as they lie on the disk. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { locatorOf } from '../core/id.ts';
import type { ActionRecord } from '../core/types.ts';
import type { ShowDocument } from './protocol.ts';

/** The content, or a sentence that says why it was not kept. */
const NAME = /^[0-9a-f]{32}(\.[0-9a-f]{8}\.foreign)?$/;
type Acted = { run: number; at: string; action: ActionRecord };

export interface Kept {
  /** Contents that repairs of a resource overwrote, newest first, by its history. */
  list(history: readonly Acted[]): ShowDocument['overwritten'];
}

/** @param dir where the provider of files keeps them, on this machine */
export function createKept(dir: string): Kept {
  return {
    list(history) {
      const all = history.flatMap(({ run, at, action }) =>
        action.why
          .filter(({ field, to }) => field === 'kept' && NAME.test(path.basename(to ?? '')))
          .map(({ from, to }) => ({
            run,
            at,
            path: from ?? locatorOf(action.id),
            name: path.basename(to ?? ''),
          })),
      );
      return all.map(({ name, ...one }, i) => ({ n: i + 1, ...one, ...look(path.join(dir, name)) }));
    },
  };
}

/** The oldest give way to newer ones. */
function look(file: string): { kept: string | null; bytes: number | null } {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() ? { kept: file, bytes: stat.size } : { kept: null, bytes: null };
}
