/** When a process began, by the kernel's book (proc_pid_stat(5)): with its number, that names it for good. */
import { readFileSync } from 'node:fs';
import { bootId } from './boot-id.ts';

const STARTTIME = 22;

/** @returns clock ticks since boot and the boot's id; null if there is no such process */
export function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name of the program, in parentheses, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return `${bootId()} ${fields[STARTTIME - 3] ?? ''}`;
  } catch {
    return null;
  }
}
