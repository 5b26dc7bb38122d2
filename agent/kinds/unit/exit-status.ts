/** The exit status that a service failed with: of its main process, or of a command beside it. */
import type { Systemd } from '../../system/systemd/systemd.ts';

/** org.freedesktop.systemd1(5): each entry is a command with what became of it; its last member is the exit status. */
const COMMANDS = ['ExecCondition', 'ExecStartPre', 'ExecStart', 'ExecStartPost', 'ExecReload'];

/** @param path of the unit on the bus @returns 0 where nothing of it failed, or it is no service */
export async function exitStatusOf(systemd: Pick<Systemd, 'property'>, path: string): Promise<number> {
  const main = Number(await systemd.property(path, 'Service', 'ExecMainStatus', 0));
  if (main !== 0) return main;
  // A service that failed before its main process began, or that starts by a command that ends (Type=forking).
  for (const property of COMMANDS) {
    const entries = await systemd.property<readonly (readonly unknown[])[]>(path, 'Service', property, []);
    const failed = entries.map((entry) => Number(entry.at(-1) ?? 0)).find((status) => status !== 0);
    if (failed !== undefined) return failed;
  }
  return 0;
}
