/** Which of the commits since the last accepted one changed this host's part. */
import { createHash } from 'node:crypto';
import type { SeenCommit } from '../../core/types.ts';
import type { Objects } from '../pack/objects.ts';
import { isoTime, parseCommit } from '../store/commit.ts';
import type { View } from '../store/tree.ts';
import { findEntry } from '../store/tree-entry.ts';
import { rangeOf } from './history.ts';

const MAX_SEEN = 50;

/** Changes exactly when a file of the view does. */
export function contentOf(view: View): string {
  const parts = view.layers.map((l) => `${l.path} ${l.tree}`);
  return createHash('sha256')
    .update(JSON.stringify([parts, view.fleet]))
    .digest('hex')
    .slice(0, 32);
}

export async function seenSince(objects: Objects, head: string, base: string, view: View): Promise<SeenCommit[]> {
  const paths = [...view.layers.map((l) => l.path), 'fleet.yaml'];
  const marks = new Map<string, Promise<string | null>>();
  const mark = (id: string) => {
    const known = marks.get(id) ?? partOf(objects, id, paths);
    marks.set(id, known);
    return known;
  };
  const { commits, descends } = await rangeOf(objects, head, { commit: base, payload: null });
  const seen: SeenCommit[] = [];
  for (const { id, commit } of descends ? commits.slice(0, MAX_SEEN) : commits.slice(0, 1)) {
    const before = await mark(commit.parents[0] ?? '');
    const after = await mark(id);
    seen.push({
      commit: id,
      author: commit.author.who,
      subject: commit.subject,
      committedAt: isoTime(commit.committer.at),
      touched: before === null || after === null ? null : before !== after,
    });
  }
  return seen;
}

/** The ids of all objects that the host reads of a commit; null if its trees are missing. */
async function partOf(objects: Objects, id: string, paths: readonly string[]): Promise<string | null> {
  if (!(await objects.has(id))) return null;
  const { tree } = parseCommit(await objects.read(id, 'commit'));
  const found: string[] = [];
  for (const path of paths) {
    let at: string | null = tree;
    for (const part of path.split('/')) {
      if (at === null) break;
      if (!(await objects.has(at))) return null;
      at = findEntry(await objects.read(at, 'tree'), part)?.oid ?? null;
    }
    found.push(at ?? '-');
  }
  return found.join(' ');
}
