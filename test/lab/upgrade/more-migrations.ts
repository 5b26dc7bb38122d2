/** One migration more than migrations.ts beside it: for the package whose agent does not start. */
import { MIGRATIONS as NOW } from '../../../agent/store/schema/migrations.ts';
import { FURTHER } from './sql.ts';

export const MIGRATIONS: readonly string[] = [...NOW, FURTHER, 'CREATE TABLE never_used (id INTEGER PRIMARY KEY);'];
