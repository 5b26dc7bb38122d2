/** Manifests: `files` and `units`, and the Compose sections, which are read by Compose's own rules. */
import { z } from 'zod';

const mode = z
  .string('must be a quoted octal string such as "0644"')
  .regex(/^[0-7]{3,4}$/, 'must be an octal string such as "0644"')
  .describe('permission bits, quoted octal; default "0644", directories "0755"');
const ids = z.array(
  z
    .string()
    .regex(/^(network|volume|file|unit|service|job|check):./, 'must be a resource id such as unit:nginx.service'),
);

const template = z
  .boolean()
  .optional()
  .describe('true: LiquidJS renders the content with host, vars, facts and secrets');

export const fileEntry = z
  .strictObject({
    content: z.string().optional().describe('the file, literally'),
    source: z.string().optional().describe('payload file or directory, relative to this manifest'),
    link: z.string().optional().describe('target of a symbolic link'),
    state: z.literal('absent').optional().describe('the path must not exist'),
    mode: mode.optional(),
    owner: z.string().optional().describe('user name or id; default root'),
    group: z.string().optional().describe('group name or id; default root'),
    after: ids.optional().describe('resources to be applied before this one'),
    notify: ids.optional().describe('units or services to restart after this changed'),
    template,
  })
  .describe('a file, a directory (its key ends in /), a mirrored tree, a link, or their absence');
export type FileEntry = z.infer<typeof fileEntry>;

export const unitEntry = z
  .strictObject({
    content: z.string().optional().describe('the unit file, installed in /etc/systemd/system'),
    source: z.string().optional().describe('payload file with the unit, relative to this manifest'),
    enabled: z.boolean().optional().describe('enabled at boot'),
    state: z.enum(['started', 'stopped']).optional().describe('what it should be now'),
    on_change: z
      .enum(['restart', 'reload', 'none'])
      .optional()
      .describe('what to do to a running unit when its file changed; default restart'),
    after: ids.optional().describe('resources to be applied before this one'),
    notify: ids.optional().describe('units or services to restart after this changed'),
    template,
  })
  .describe('a systemd unit: its file, or just the state of one that exists');
export type UnitEntry = z.infer<typeof unitEntry>;

/** Compose's own top-level keys; compose/ checks what is in them. */
export const COMPOSE_KEYS = [
  'services',
  'networks',
  'volumes',
  'configs',
  'secrets',
  'name',
  'include',
  'version',
] as const;

const composeSections = Object.fromEntries(
  COMPOSE_KEYS.map((key) => [key, z.unknown().optional().describe('as in a compose file')]),
);

export const manifest = z
  .strictObject({
    files: z.record(z.string(), fileEntry.nullable()).nullable().optional().describe('absolute path → file'),
    units: z.record(z.string(), unitEntry.nullable()).nullable().optional().describe('unit name → unit'),
    ...composeSections,
  })
  .describe('A fairlead manifest');
export interface Manifest {
  files?: Record<string, FileEntry | null> | null | undefined;
  units?: Record<string, UnitEntry | null> | null | undefined;
}

/** Keys of the product contract that this version cannot carry out yet: an error that says so, never silence. */
export const NOT_YET: Record<string, string> = {
  jobs: 'jobs',
  checks: 'checks',
  validate: '`validate`',
  reload: '`reload`',
  purge: '`purge`',
  dropins: 'drop-ins',
  masked: 'masked units',
};
