/** A further migration of the database, as a newer version might have it: a column, an index, and migrated rows. */
export const FURTHER = `ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT 'of before';
   CREATE INDEX runs_by_note ON runs (note, id);
   UPDATE runs SET note = 'brought forward';`;
