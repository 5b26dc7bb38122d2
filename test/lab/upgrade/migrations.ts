/** The migrations of the database in a newer version: replaces agent/store/schema/migrations.ts in its package. */
import { MIGRATIONS as NOW } from '../../../agent/store/schema/migrations.ts';
import { FURTHER } from './sql.ts';

export const MIGRATIONS: readonly string[] = [...NOW, FURTHER];
