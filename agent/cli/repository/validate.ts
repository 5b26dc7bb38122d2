/** `fairlead validate [DIR]`: every host of a fleet repository, offline, for CI. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { type Fleet, openFleet } from '../../repo/fleet.ts';
import { type Notes, notesOf } from '../../repo/notes.ts';
import { parsePart, partOf, partsFor, validateParts } from '../../repo/parts.ts';
import { type FleetTree, withTree } from '../../repo/tree.ts';
import { type FleetIssue, type Validation, validateFleet } from '../../repo/validate.ts';
import { type Context, EXIT } from '../context.ts';
import { count } from '../text/words.ts';
import { type Format, githubText, gitlabReport, issuesText } from './annotations.ts';

export interface ValidateOptions {
  format: Format;
  worktree?: boolean;
  strict?: boolean;
  part?: string;
}

/** The parent process reports the issues of the parts that it started. */
const NO_NOTES: Notes = { dirty: null, warnings: [] };

export async function validate(c: Context, dir: string, options: ValidateOptions): Promise<number> {
  const part = options.part === undefined ? null : parsePart(options.part);
  if (options.part !== undefined && part === null) {
    c.complain('--part is K/N, such as 1/2; see `fairlead validate --help`');
    return EXIT.usage;
  }
  return withTree(dir, { worktree: options.worktree ?? false }, async (tree) => {
    const fleet = await openFleet(tree, c.deps.version);
    const notes = part === null ? notesOf(fleet, 'validate') : NO_NOTES;
    const of = part === null ? partsFor(fleet.hosts.length, availableParallelism()) : 1;
    const argv = [...c.deps.self, 'validate', dir, ...(options.worktree ? ['--worktree'] : [])];
    const judged =
      of > 1 ? validateParts(argv, of) : validateFleet(part ? partOf(fleet, part) : fleet, c.deps.offlineKinds());
    const [found, noted] = await Promise.all([judged, notes]);
    const issues = withNotes(fleet, found.issues, noted);
    if (noted.dirty !== null) c.complain(noted.dirty);
    show(c, { ...options, tree }, { hosts: found.hosts, issues });
    return issues.some((i) => i.severity === 'error' || options.strict) ? EXIT.bad : EXIT.ok;
  });
}

/** A file that is refused needs no warning as well. */
function withNotes(fleet: Fleet, issues: readonly FleetIssue[], { warnings }: Notes): FleetIssue[] {
  const told = new Set(issues.map((i) => JSON.stringify([i.file, i.severity])));
  const more = warnings
    .filter(({ file }) => !told.has(JSON.stringify([file, 'error'])))
    .map((issue) => ({
      ...issue,
      hosts: fleet.hosts.filter(({ path }) => issue.file.startsWith(`${path}/`)).map(({ path }) => path),
    }));
  return [...more, ...issues].sort((a, b) => (a.file < b.file ? -1 : a.file > b.file ? 1 : 0) || a.line - b.line);
}

function show(c: Context, { format, tree }: { format: Format; tree: FleetTree }, result: Validation): void {
  const { issues } = result;
  const errors = issues.filter((i) => i.severity === 'error').length;
  const summary = `${count(result.hosts, 'host')}, ${count(errors, 'error')}, ${count(issues.length - errors, 'warning')}`;
  const judged = { source: tree.source, commit: tree.commit };
  if (format === 'gitlab')
    c.write(JSON.stringify(gitlabReport(issues, (text) => createHash('sha256').update(text).digest('hex'))));
  else if (format === 'json' || c.options.json) c.write(JSON.stringify({ schema: 1, judged, ...result }));
  else if (format === 'github') c.write([githubText(issues), summary].filter(Boolean).join('\n'));
  else c.print(null, () => [issuesText(issues, c.style), summary].filter(Boolean).join('\n'));
}
