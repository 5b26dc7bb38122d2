/** A fleet repository on this machine as the checkout that this host would get from it, for a plan before the push. */

import { createHash } from 'node:crypto';
import { fleetSettings } from '../../manifests-schema/fleet.ts';
import { createPayload } from '../core/payload/payload.ts';
import type { Checkout, Issue } from '../core/types.ts';
import { isWhole, locate, readFiles } from '../git/store/tree.ts';
import { openFleet } from './fleet.ts';
import { notesOf } from './notes.ts';
import { type FleetTree, incomplete, type OpenOptions, withTree, withWords } from './tree.ts';
import { unknownHost } from './unknown-host.ts';

export interface LocalCheckout {
  checkout: Checkout;
  /** Warnings about files that differ from those that were read. */
  notes: readonly Issue[];
}

/** @throws AgentError `NoRepository`, `InvalidRepository`, `UnknownHost` */
export const localCheckout = (dir: string, hostPath: string, options: OpenOptions = {}): Promise<LocalCheckout> =>
  withTree(dir, options, (tree) => withWords(dir, checkoutOf(tree, dir, hostPath)));

async function checkoutOf(tree: FleetTree, dir: string, hostPath: string): Promise<LocalCheckout> {
  const found = await locate(tree.objects, tree.root, hostPath);
  if (!isWhole(found)) throw incomplete(dir, hostPath);
  if (!found.view.hostExists) throw unknownHost(await openFleet(tree), hostPath);
  const { contents, executable } = await readFiles(tree.objects, found.view);
  const files = createPayload(contents, { read: () => null, sha256, executable });
  const settings = { ...fleetSettings.parse({}), hosts: [hostPath] };
  const { dirty, warnings } = await notesOf({ tree, settings }, 'plan');
  const at = { file: hostPath, line: 1, column: 1, key: '', severity: 'warning' as const };
  return {
    // Another directory may be behind the same path next time: it is no commit.
    checkout: { info: { ...NO_COMMIT, ref: dir }, hostPath, hostExists: found.view.hostExists, files },
    notes: [...(dirty ? [{ ...at, message: dirty }] : []), ...warnings],
  };
}

const NO_COMMIT = { ref: '', commit: '', author: '', subject: '', committedAt: '' };
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
