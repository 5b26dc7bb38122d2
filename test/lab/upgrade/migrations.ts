/** The forms of the database as a newer version would have them: takes the place of agent/store/schema/migrations.ts in its package. */
import { MIGRATIONS as NOW } from '../../../agent/store/schema/migrations.ts';
import { FURTHER } from './sql.ts';

export const MIGRATIONS: readonly string[] = [...NOW, FURTHER];
