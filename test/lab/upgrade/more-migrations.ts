/** One form more than migrations.ts beside it: of the package whose agent does not start. */
import { MIGRATIONS as NEWER } from './migrations.ts';

export const MIGRATIONS: readonly string[] = [...NEWER, 'CREATE TABLE never_used (id INTEGER PRIMARY KEY);'];
