/** The cost of the idle agent. */
import { setTimeout as pause } from 'node:timers/promises';
import type { LabHost } from '../../lab/lab.ts';

const WINDOW_SECONDS = 60;
const QUICK_SECONDS = 10;
const WINDOWS = 3;

/** Length of idle times in seconds. Publish figures of ten minutes (`FAIRLEAD_IDLE_SECONDS=600`). */
export const idleSeconds = (isQuick: boolean): number =>
  isQuick ? QUICK_SECONDS : Number(process.env.FAIRLEAD_IDLE_SECONDS ?? WINDOWS * WINDOW_SECONDS);

export const agentPid = async (host: LabHost): Promise<string> =>
  (await host.exec(['systemctl', 'show', '-p', 'MainPID', '--value', 'fairlead.service'])).stdout.trim();

/**
 * Processor time of the agent from now on, including processes that it started and that ended.
 * @returns percent of one core, one for each window
 */
export async function idleCpu(host: LabHost, seconds: number): Promise<number[]> {
  const pid = await agentPid(host);
  // proc_pid_stat(5): fields 14 to 17, user and system time, its own and its children's, in ticks of a hundredth of a second.
  const ticks = async () =>
    (await host.exec(['cat', `/proc/${pid}/stat`])).stdout
      .split(' ')
      .slice(13, 17)
      .reduce((sum, n) => sum + Number(n), 0);
  const windowSeconds = Math.min(seconds, WINDOW_SECONDS);
  const percents: number[] = [];
  for (let window = 0; window < Math.floor(seconds / windowSeconds); window++) {
    const before = await ticks();
    await pause(windowSeconds * 1_000);
    percents.push(((await ticks()) - before) / windowSeconds);
  }
  return percents;
}
