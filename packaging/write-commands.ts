/** `npm run commands`: writes docs/commands.md. A test fails if it is out of date. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { commandsPage } from './commands.ts';

writeFileSync(path.join(import.meta.dirname, '../docs/commands.md'), commandsPage());
