/** A working directory as the checkout that this host would get from it, for a plan before the commit. */
import type { Checkout } from '../core/types.ts';
import { AgentError } from '../errors.ts';
import { openDirectory, withModes } from './tree.ts';

/** @throws AgentError `NoRepository`, `InvalidRepository` */
export async function localCheckout(dir: string, hostPath: string): Promise<Checkout> {
  const tree = openDirectory(dir);
  const wanted = tree.paths.filter((p) => p === 'fleet.yaml' || p.startsWith('roles/') || p.startsWith(`${hostPath}/`));
  const files = await tree.read(wanted);
  const wrong = tree.refused(wanted)[0];
  if (wrong) throw new AgentError({ code: 'InvalidRepository', phase: 'load', message: wrong.message });
  const hostExists = wanted.some((p) => p.startsWith(`${hostPath}/`));
  return {
    info: { ref: dir, commit: '', author: '', subject: '', committedAt: '' },
    hostPath,
    hostExists,
    files: withModes(files, tree),
  };
}
