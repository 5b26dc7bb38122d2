/** A lab host with packages from rpm(8), as far as a Debian one can have them. */
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { LabHost } from '../lab.ts';
import { run } from '../run.ts';

/**
 * rpm(8) of this machine, which is a Debian 12 as well, with the libraries that the host lacks. Debian's own works on the machine
 * itself only with an option, and does not know the packages of dpkg.
 */
export async function bringRpm(on: LabHost): Promise<void> {
  const work = mkdtempSync(path.join(os.tmpdir(), 'fairlead-rpm-'));
  const { stdout } = await run(['ldd', '/usr/bin/rpm']);
  const libraries = [...stdout.matchAll(/=> (\/\S+)/g)].map(([, file = '']) => file);
  const archive = path.join(work, 'rpm.tar');
  await run(['tar', '-chPf', archive, '/usr/bin/rpm', '/usr/lib/rpm', ...libraries]);
  await on.copyIn(archive, '/root/rpm.tar');
  rmSync(work, { recursive: true });
  await on.sh('tar -xPf /root/rpm.tar --skip-old-files');
  await on.write(
    '/usr/local/bin/rpm',
    '#!/bin/sh\ncase $1 in -[iUe]) set -- "$@" --nodeps --force-debian ;; esac\nexec /usr/bin/rpm "$@"\n',
    '0755',
  );
}
