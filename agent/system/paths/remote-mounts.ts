/**
 * File systems whose server may not respond (proc_pid_mountinfo(5)). A call on one of them can block for ever, and with it the
 * event loop, so mounts of containers from there are identified by their path alone.
 */
import fs from 'node:fs';

const REMOTE = /^(nfs\d?|cifs|smb3?|9p|ceph|glusterfs|lustre|afs|beegfs|fuse(\..*)?|autofs)$/;
/** Time for which the table is cached, in milliseconds. */
const FRESH_MS = 1_000;

/** Pure. @returns mount points of such file systems. @param table text of mountinfo */
export function remoteMounts(table: string): string[] {
  return table.split('\n').flatMap((line) => {
    const [mount = '', filesystem = ''] = line.split(' - ');
    const point = mount.split(' ')[4];
    if (point === undefined || !REMOTE.test(filesystem.split(' ')[0] ?? '')) return [];
    return [point.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))];
  });
}

/** @returns whether a path of this machine is, or lies below, such a mount point */
export function createIsRemote(): (file: string) => boolean {
  let known: { at: number; points: string[] } | null = null;
  return (file) => {
    const now = performance.now();
    if (known === null || now - known.at > FRESH_MS) known = { at: now, points: read() };
    return known.points.some((point) => file === point || file.startsWith(`${point}/`));
  };
}

function read(): string[] {
  try {
    return remoteMounts(fs.readFileSync('/proc/self/mountinfo', 'utf8'));
  } catch {
    return [];
  }
}
