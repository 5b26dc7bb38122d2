/**
 * Compares the working tree with what git has of it, and says so beside the verdict, so that nobody wonders what was judged.
 */
import type { Issue } from '../core/types.ts';
import type { Fleet } from './fleet.ts';
import type { FleetTree } from './tree.ts';
import type { Differences } from './working-tree.ts';

export interface Notes {
  /** A sentence for people, if the judged files differ from those in the directory. */
  dirty: string | null;
  /** Files of hosts and roles that no host gets, or that it gets with other bytes. */
  warnings: readonly Issue[];
}

/** Files that are named one by one; the others are only counted. */
const MAX_NAMED = 20;

/** @param command whose verdict it is, e.g. `validate` */
export async function notesOf({ tree, settings }: Pick<Fleet, 'tree' | 'settings'>, command: string): Promise<Notes> {
  const differences = await tree.differences();
  if (differences === null) return { dirty: null, warnings: [] };
  const concerns = concernsHosts(settings.hosts);
  const of = (files: readonly string[], why: (file: string) => string) =>
    shortened(files.filter(concerns).sort()).map(({ file, more }) => warning(file, `${why(file)}${more}`));
  return {
    dirty: dirtyNote(tree, differences, command),
    warnings: [
      ...of(
        differences.ignored,
        (file) => `${file} is ignored by git, so no host gets it; \`git add -f\` it, or take it out of .gitignore`,
      ),
      ...of(differences.untracked, (file) => `${file} is not committed, so no host gets it; \`git add\` and commit it`),
      ...of(
        differences.smudged,
        (file) =>
          `${file} has other bytes here than git stores (line endings, or another filter of .gitattributes), and a host gets what git stores`,
      ),
    ],
  };
}

function dirtyNote({ source }: FleetTree, { count }: Differences, command: string): string | null {
  if (source !== 'commit' || count === 0) return null;
  const differ = count === 1 ? '1 file differs' : `${count} files differ`;
  return `${differ} from HEAD; ${command} judges HEAD; --worktree judges ${count === 1 ? 'this' : 'these'}`;
}

/** Whether a path, or a directory with a / at its end, may belong to a host: what the globs name, roles, and fleet.yaml. */
function concernsHosts(globs: readonly string[]): (file: string) => boolean {
  const tops = [...globs.map(literalPart), 'roles/'];
  return (file) =>
    file === 'fleet.yaml' || tops.some((top) => file.startsWith(top) || (file.endsWith('/') && top.startsWith(file)));
}

/** `sites/` of `sites/*` and of `sites/*` with more behind it. */
const literalPart = (glob: string): string => {
  const parts = glob.split('/').filter(Boolean);
  const first = parts.findIndex((part) => /[*?{]/.test(part));
  const literal = (first === -1 ? parts : parts.slice(0, first)).join('/');
  return literal === '' ? '' : `${literal}/`;
};

const shortened = (files: readonly string[]): { file: string; more: string }[] =>
  files.slice(0, MAX_NAMED).map((file, i) => ({
    file,
    more: i === MAX_NAMED - 1 && files.length > MAX_NAMED ? ` (and ${files.length - MAX_NAMED} more files)` : '',
  }));

const warning = (file: string, message: string): Issue => ({
  file,
  line: 1,
  column: 1,
  key: '',
  severity: 'warning',
  message,
});
