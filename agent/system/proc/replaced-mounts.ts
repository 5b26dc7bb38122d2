/** Files that a container mounts and that were replaced since: the container still sees the old ones (proc_pid_mountinfo(5)). */
import { readFile } from 'node:fs/promises';

/** Suffix that the kernel adds to the path of a file that was removed or replaced. */
const REPLACED = '//deleted';

/** @param proc the directory of its first process, `/proc/PID` @returns where they are in the container; none if nobody can tell */
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
