/** `!reset` and `!override`: what earlier files say at these places is dropped. Pure. */
import type { Node } from '../yaml/node.ts';

export function applyResets(target: Node, resets: readonly (readonly string[])[], at: readonly string[] = []): void {
  for (const path of resets) {
    if (path.length <= at.length || !at.every((step, i) => step === path[i])) continue;
    drop(target, path.slice(at.length));
  }
}

function drop(node: Node | undefined, [first = '', ...rest]: readonly string[]): void {
  if (node?.kind !== 'map') return;
  if (rest.length === 0) node.entries.delete(first);
  else drop(node.entries.get(first), rest);
}
