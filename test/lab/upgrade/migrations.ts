/** The forms of the database as a newer version would have them: takes the place of agent/store/migrations.ts in its package. */
import { MIGRATIONS as NOW } from '../../../agent/store/migrations.ts';

export const MIGRATIONS: readonly string[] = [
  ...NOW,
  `ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT 'of before';
   CREATE INDEX runs_by_note ON runs (note, id);
   UPDATE runs SET note = 'brought forward';`,
];
