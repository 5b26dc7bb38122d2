/** Shapes that host.yaml, role.yaml and fleet.yaml share. */
import { z } from 'zod';

/** The name of a directory below roles/. */
export const roles = z.array(
  z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/, 'must be the name of a directory below roles/'),
);

export const vars = z
  .record(z.string(), z.unknown())
  .describe('variables of Compose sections (`${NAME}`) and templates (`{{ vars.NAME }}`); merged shallowly');
