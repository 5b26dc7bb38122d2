/** `npm run compose-table`: writes the table into docs/compose.md; `--check` only verifies that it is up to date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { DOCUMENT, withTable } from './table.ts';

const have = readFileSync(DOCUMENT, 'utf8');
const want = withTable(have);
if (!process.argv.includes('--check')) writeFileSync(DOCUMENT, want);
else if (have !== want) {
  console.error('docs/compose.md is out of date; run npm run compose-table');
  process.exitCode = 1;
}
