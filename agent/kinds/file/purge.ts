/** `purge: true` of a directory: what nobody declares goes, however much of it others put there. */

import type { Reason } from '../../core/types.ts';
import type { Files } from '../../system/files/types.ts';
import { contended } from '../../system/paths/errors.ts';
import type { Originals } from './originals.ts';
import type { FileSpec } from './spec.ts';

/** As many are counted as foreign in one look. */
const LOOKED_AT = 1_000;
/** As many are named one by one in history. */
const TOLD = 30;

/** Names in a purged directory that nobody declares; not all where there are thousands. */
export function foreignIn(files: Files, directory: string, keep: readonly string[]): string[] {
  const known = new Set(keep);
  return files.list(directory, LOOKED_AT + known.size).filter((name) => !known.has(name));
}

/**
 * Removes what nobody declares, and keeps some of the bytes.
 * @param report hears where they lie
 * @throws AgentError `Contended` where others go on filling the directory
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
