/** Selects the process that unpacks on this machine. */
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createUnpacking, type Unpacking } from '../../git/reader/unpacking.ts';
import type { Log } from '../../log.ts';
import { confined } from '../../system/confined.ts';

/** @returns undefined if the script is missing, as in a checkout without a build: then the agent's own process unpacks */
export function unpackingApart(log: Log): Unpacking | undefined {
  // The build writes it beside the parts of the program.
  const script = fileURLToPath(new URL('reader.cjs', import.meta.url));
  if (!existsSync(script)) return undefined;
  const uid = process.getuid?.() ?? 0;
  // In a container (packaging/container/enter) systemd does not see the program, so it cannot start it.
  const seen = process.env.FAIRLEAD_CONTAINER === undefined ? {} : { hasSystemd: false };
  return createUnpacking({
    ways: confined({ script, node: process.execPath, uid, slot: randomInt(2 ** 16), ...seen }),
    log,
  });
}
