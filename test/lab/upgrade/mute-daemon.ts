/** A daemon that migrates the state, reports that it is ready, and then nothing: replaces agent/daemon.ts in a package. */
import { stateDir } from '../../../agent/layout.ts';
import { silentLog } from '../../../agent/log.ts';
import { openStore } from '../../../agent/store/db.ts';
import { createNotifier } from '../../../agent/system/systemd/notify.ts';

export async function runDaemon(): Promise<number> {
  const addon = `/usr/lib/fairlead/better_sqlite3-linux-${process.arch}.node`;
  openStore({ dir: stateDir({}), nativeBinding: addon, now: () => new Date(), log: silentLog }).close();
  createNotifier(process.env, () => performance.now()).ready();
  setInterval(() => undefined, 60_000);
  return new Promise(() => undefined);
}
