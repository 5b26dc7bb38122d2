/** Entries of `sysctls`. */
import { z } from 'zod';

/** proc(5): what is written to a setting in one go is a page at most. */
const MAX_LENGTH = 4_000;

export const sysctlEntry = z
  .string('must be a quoted value such as "1"')
  .max(MAX_LENGTH, `must have ${MAX_LENGTH} characters at most`)
  .regex(/^[^\n\0]*$/, 'must be one line')
  .describe('the value, quoted, as sysctl(8) shows it; several values are separated by spaces');
export type SysctlEntry = z.infer<typeof sysctlEntry>;
