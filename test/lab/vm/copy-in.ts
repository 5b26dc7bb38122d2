/** Copies files and directories of this computer into a virtual machine. */
import { spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import path from 'node:path';
import type { LabHost } from '../host.ts';

/** Copied only if the size differs: the agent's node is in the image. */
const LARGE_BYTES = 16 << 20;

/** As `docker cp`: a directory's content if the path ends in `/.`, else under the new name. */
export async function copyIn(exec: LabHost['exec'], local: string, remote: string): Promise<void> {
  const stat = statSync(local);
  if (stat.isFile() && stat.size >= LARGE_BYTES) {
    const { stdout } = await exec(['stat', '-L', '-c', '%s', remote], { check: false });
    if (Number(stdout) === stat.size) return;
  }
  const isContent = local.endsWith('/.');
  const from = isContent ? local : path.dirname(local);
  const tar = spawn('tar', ['-C', from, '-c', isContent ? '.' : path.basename(local)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const script = isContent
    ? 'mkdir -p "$1"; tar -C "$1" --no-same-owner -x'
    : 'if [ -d "$1" ]; then exec tar -C "$1" --no-same-owner -x; fi; d=$(mktemp -d "$(dirname "$1")/.copy.XXXXXX"); tar -C "$d" --no-same-owner -x; mv -T "$d/$2" "$1"; rmdir "$d"';
  await exec(['sh', '-ec', script, 'sh', remote, path.basename(local)], { stream: tar.stdout });
}
