/** Whether the kernel's clock agrees with a time server, as systemd says: true of timesyncd, chrony and ntpd alike. */
import type { TimeSync } from '../core/clock-doubt.ts';
import type { Exec } from './exec.ts';

const ASK_MS = 10_000;

/** See timedatectl(1), `show`. Without it, no client of a time server is known. */
export async function timeSync(exec: Exec): Promise<TimeSync> {
  const { code, stdout } = await exec(['timedatectl', 'show', '--property=NTP', '--property=NTPSynchronized'], {
    timeoutMs: ASK_MS,
  });
  const said = stdout.split('\n');
  if (code !== 0) return 'no';
  if (said.includes('NTPSynchronized=yes')) return 'yes';
  return said.includes('NTP=yes') ? 'awaited' : 'no';
}
