/** The table of docs/compose.md: every path of the Compose Specification, and how fairlead handles it. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { pathsOf, type Shape } from '../../agent/compose/spec/shape.ts';
import { project } from '../../agent/compose/spec/spec.ts';

export type Class = 'equal' | 'inspected' | 'refused';

export const classOf = ({ refuse, young }: Shape): Class => (refuse ? 'refused' : young ? 'inspected' : 'equal');

/** The paths of the Specification's own JSON Schema, after a comment with its version. */
export function specificationPaths(): { origin: string; paths: string[] } {
  const lines = readFileSync(path.join(import.meta.dirname, 'spec-paths.txt'), 'utf8')
    .trim()
    .split('\n');
  return { origin: (lines[0] ?? '').replace(/^# /, ''), paths: lines.slice(1) };
}

export const DOCUMENT = path.join(import.meta.dirname, '../../docs/compose.md');
const BEGIN = '<!-- table: npm run compose-table -->';
const END = '<!-- /table -->';

/** The document with the current table. */
export function withTable(document: string): string {
  const [before = '', rest = ''] = document.split(BEGIN);
  return `${before}${BEGIN}\n${table()}${END}${rest.split(END)[1] ?? '\n'}`;
}

function table(): string {
  const rows = pathsOf(project).map(({ path: at, shape }) => {
    const kind = classOf(shape);
    const done = shape.refuse ?? (shape.passOver ? `no, a warning: ${shape.passOver}` : 'yes');
    return `| \`${at}\` | ${kind} | ${done.replaceAll('|', '\\|')} |`;
  });
  const count = (kind: string) => rows.filter((row) => row.includes(`| ${kind} |`)).length;
  return `
${rows.length} paths of ${specificationPaths().origin}: ${count('equal')} equal, ${count('inspected')} inspected, ${count('refused')} refused.

| path | reads | carries out |
|---|---|---|
${rows.join('\n')}
`;
}
