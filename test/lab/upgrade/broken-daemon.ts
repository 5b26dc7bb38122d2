/** A daemon that migrates the state and then does not start: replaces agent/daemon.ts in a package. */
import { stateDir } from '../../../agent/layout.ts';
import { silentLog } from '../../../agent/log.ts';
import { openStore } from '../../../agent/store/db.ts';

export async function runDaemon(): Promise<number> {
  const addon = `/usr/lib/fairlead/better_sqlite3-linux-${process.arch}.node`;
  openStore({ dir: stateDir({}), nativeBinding: addon, now: () => new Date(), log: silentLog }).close();
  throw new Error('this version cannot start');
}
