/** Checks a commit message against docs/style.md: `node packaging/commit-message.ts FILE`, as the commit-msg hook calls it. */
import { readFileSync } from 'node:fs';

const SUBJECT_COLUMNS = 72;
const BODY_COLUMNS = 100;
/** Messages that git writes by itself, and those that a rebase squashes into another commit. */
const GIVEN = /^(Merge|Revert|fixup!|squash!|amend!) ?/;

/**
 * The errors of a message, one sentence each; empty if there are none. Comments of git and everything below its scissors are
 * ignored.
 */
export function problemsOf(message: string): string[] {
  const [kept = ''] = message.split(/^# -+ >8 -+$/m);
  const lines = kept
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .map((line) => line.trimEnd());
  const [subject = '', second = '', ...body] = lines;
  if (GIVEN.test(subject)) return [];
  const problems: string[] = [];
  if (subject === '') return ['the subject is empty; write `area: imperative`'];
  if (!/^[a-z][a-z0-9, -]*: \S/.test(subject)) problems.push('the subject names no area; write `area: imperative`');
  if (subject.length > SUBJECT_COLUMNS)
    problems.push(`the subject has ${subject.length} characters; ${SUBJECT_COLUMNS} at most`);
  if (subject.endsWith('.')) problems.push('the subject ends with a full stop; leave it out');
  if (subject.includes('; ')) problems.push('the subject joins two things with `;`; make two commits');
  if (second !== '') problems.push('the second line is not empty; leave it empty');
  for (const line of body)
    if (line.length > BODY_COLUMNS && line.includes(' ') && !/https?:\/\//.test(line))
      problems.push(`a line of the body has ${line.length} characters; wrap at ${BODY_COLUMNS}: ${line.slice(0, 40)}…`);
  return problems;
}

if (process.argv[1] === import.meta.filename) {
  const problems = problemsOf(readFileSync(process.argv[2] ?? '', 'utf8'));
  for (const problem of problems) console.error(`commit message: ${problem} (docs/style.md)`);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
