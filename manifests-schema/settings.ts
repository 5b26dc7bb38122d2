/** Shapes that host.yaml, role.yaml and fleet.yaml share. */
import { z } from 'zod';

export const duration = z.string().regex(/^\d+(ms|s|m|h|d)$/, 'must be a duration such as 90s, 5m or 2h');

/** The name of a directory below roles/. */
export const roles = z.array(
  z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]*$/, 'must be the name of a directory below roles/'),
);

export const vars = z
  .record(z.string(), z.unknown())
  .describe('variables of Compose sections (`${NAME}`) and templates (`{{ vars.NAME }}`); merged shallowly');
