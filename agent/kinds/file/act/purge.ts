/** `purge: true` of a directory: removes everything undeclared, however much others put there. */

import type { Reason } from '../../../core/types.ts';
import type { Files } from '../../../system/files/types.ts';
import { contended } from '../../../system/paths/errors.ts';
import type { FileSpec } from '../spec.ts';
import type { Originals } from './originals.ts';

/** Maximum number of names that one observation counts as foreign. */
const LOOKED_AT = 1_000;
/** Maximum number of names that history lists. */
const TOLD = 30;

/** Undeclared names in a purged directory; not all of them if there are thousands. */
export function foreignIn(files: Files, directory: string, keep: readonly string[]): string[] {
  const known = new Set(keep);
  return files.list(directory, LOOKED_AT + known.size).filter((name) => !known.has(name));
}

/**
 * Removes everything undeclared, and keeps some of the bytes.
 * @param report receives the paths of the kept bytes
 * @throws AgentError `Contended` if others keep filling the directory
 */
export async function purgeDirectory(
  { files, originals }: { files: Files; originals: Originals },
  { path, keep = [] }: FileSpec,
  report: ((note: Reason) => void) | undefined,
): Promise<void> {
  const keepOne = originals.keepForeign(path);
  let unkept = 0;
  let told = 0;
  const before: Parameters<Files['empty']>[2] = async (foreign) => {
    if (foreign.stat.type !== 'file') return;
    const to = await keepOne(foreign);
    if (to === null || ++told > TOLD) unkept++;
    else report?.({ field: 'kept', from: `${path}/${foreign.name}`, to });
  };
  const isEmpty = await files.empty(path, new Set(keep), before);
  if (unkept > 0) {
    const to = `not kept: ${unkept} more ${unkept === 1 ? 'file' : 'files'}, since one purge keeps only so much`;
    report?.({ field: 'kept', from: path, to });
  }
  if (!isEmpty) throw contended(path);
}
