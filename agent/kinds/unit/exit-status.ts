/** The exit status of a failed service: of its main process, or of another command. */
import type { Systemd } from '../../system/systemd/systemd.ts';

/** org.freedesktop.systemd1(5): each entry is a command with its result; the last member is the exit status. */
const COMMANDS = ['ExecCondition', 'ExecStartPre', 'ExecStart', 'ExecStartPost', 'ExecReload'];

/** @param path of the unit on the bus @returns 0 if nothing failed, or it is no service */
export async function exitStatusOf(systemd: Pick<Systemd, 'property'>, path: string): Promise<number> {
  const main = Number(await systemd.property(path, 'Service', 'ExecMainStatus', 0));
  if (main !== 0) return main;
  // Covers a service that failed before its main process started, or whose start command ends (Type=forking).
  for (const property of COMMANDS) {
    const entries = await systemd.property<readonly (readonly unknown[])[]>(path, 'Service', property, []);
    const failed = entries.map((entry) => Number(entry.at(-1) ?? 0)).find((status) => status !== 0);
    if (failed !== undefined) return failed;
  }
  return 0;
}
