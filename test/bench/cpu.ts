/** What the agent costs while nothing happens. */
import type { LabHost } from '../lab/lab.ts';

/** Ten minutes make a figure to quote; one is enough to work with. */
export const IDLE_SECONDS = Number(process.env.FAIRLEAD_IDLE_SECONDS ?? 60);

export const agentPid = async (host: LabHost): Promise<string> =>
  (await host.exec(['systemctl', 'show', '-p', 'MainPID', '--value', 'fairlead.service'])).stdout.trim();

/** Percent of one core, over `IDLE_SECONDS` from now on. */
export async function idleCpu(host: LabHost): Promise<number> {
  const pid = await agentPid(host);
  // proc_pid_stat(5): fields 14 and 15, in ticks of a hundredth of a second.
  const ticks = async () =>
    (await host.exec(['cat', `/proc/${pid}/stat`])).stdout
      .split(' ')
      .slice(13, 15)
      .reduce((sum, n) => sum + Number(n), 0);
  const before = await ticks();
  await new Promise((resolve) => setTimeout(resolve, IDLE_SECONDS * 1000));
  return ((await ticks()) - before) / IDLE_SECONDS;
}
