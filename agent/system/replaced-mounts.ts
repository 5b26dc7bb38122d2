/** Files that a container mounts and that were replaced since: it goes on to see the old ones (proc_pid_mountinfo(5)). */
import { readFile } from 'node:fs/promises';

/** What the kernel puts behind the name of a file that is no longer there under it. */
const REPLACED = '//deleted';

/** @param proc the directory of its first process, `/proc/PID` @returns where they are in the container; none where nobody can tell */
export async function replacedMounts(proc: string): Promise<string[]> {
  const lines = await readFile(`${proc}/mountinfo`, 'utf8').catch(() => '');
  return lines.split('\n').flatMap((line) => {
    const [, , , root = '', target = ''] = line.split(' ');
    return root.endsWith(REPLACED) ? [unescaped(target)] : [];
  });
}

/** Spaces and the like are written as `\040`. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
