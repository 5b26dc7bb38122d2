/** The kernel's accounting: processor time and memory of a process, bytes and segments of its connections. */
import { readFileSync } from 'node:fs';
import { run } from '../../lab/run.ts';

/**
 * The kernel counts in ticks of a hundredth of a second, independent of its own clock rate (proc_pid_stat(5),
 * sysconf(_SC_CLK_TCK)).
 */
const TICK_MS = 10;

/** Processor time since its start, user and system. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is a name in parentheses, which may contain anything; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Current and peak resident memory, in MB (proc_pid_status(5)). */
export function memoryMb(pid: number): { now: number; peak: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN) / 1_024;
  return { now: mb('VmRSS'), peak: mb('VmHWM') };
}

export interface Traffic {
  connections: number;
  /** Payload bytes, in both directions. */
  bytes: number;
  /** TCP segments in both directions, including pure acknowledgements. */
  segments: number;
}

/** Totals of all connections to a port of this machine, from the clients' side, since each was opened (ss(8), tcp_info). */
export async function trafficTo(port: number): Promise<Traffic> {
  const argv = ['-tinH', 'state', 'established', `( dport = :${port} )`];
  const { stdout } = await run(['ss', ...argv], { timeoutMs: 60_000 });
  const sum = (name: string) =>
    [...stdout.matchAll(new RegExp(`\\b${name}:(\\d+)`, 'g'))].reduce((all, [, count]) => all + Number(count), 0);
  return {
    connections: [...stdout.matchAll(/\bsegs_out:/g)].length,
    bytes: sum('bytes_acked') + sum('bytes_received'),
    segments: sum('segs_out') + sum('segs_in'),
  };
}

/** Headers of a segment: IPv4 without options (RFC 791), TCP with timestamps (RFC 7323). */
export const HEADER_BYTES = 20 + 32;
