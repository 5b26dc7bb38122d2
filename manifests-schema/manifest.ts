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
const unitIds = z.array(
  z.string().regex(/^unit:./, 'must be a unit such as unit:nginx.service; what cannot reload takes `notify`'),
);
const argv = z
  .array(z.string(), 'must be a list: a program and its arguments, such as [systemctl, reload, nginx]; no shell')
  .min(1, 'must name a program')
  .describe('a program and its arguments; no shell');
const duration = z
  .string('must be a duration such as 90s, 5m or 2h')
  .regex(/^\d+(ms|s|m|h|d)$/, 'must be a duration such as 90s, 5m or 2h');
const after = ids.optional().describe('resources to be applied before this one');
const notify = ids.optional().describe('units or services to restart, or jobs to run, after this changed');
const reload = unitIds.optional().describe('units to reload after this changed');
const fairlead = z
  .strictObject({
    mode: z
      .enum(['observe', 'enforce'])
      .optional()
      .describe('observe: look at it and tell what differs, never touch it'),
  })
  .optional()
  .describe('how fairlead treats it, as with a service of a stack');

export const fileEntry = z
  .strictObject({
    content: z.string().optional().describe('the file, literally'),
    source: z.string().optional().describe('payload file or directory, relative to this manifest'),
    link: z.string().optional().describe('target of a symbolic link'),
    state: z.literal('absent').optional().describe('the path must not exist'),
    mode: mode.optional(),
    owner: z
      .string('must be a user name, or a quoted id such as "1000"')
      .optional()
      .describe('user name or id; default root'),
    group: z
      .string('must be a group name, or a quoted id such as "1000"')
      .optional()
      .describe('group name or id; default root'),
    purge: z
      .boolean()
      .optional()
      .describe('of a directory or tree: remove what is in it and not declared; with `state: absent`: with all in it'),
    validate: argv.optional().describe('a program that must accept the candidate, "%s", before it is put in place'),
    after,
    notify,
    reload,
    template,
    'x-fairlead': fairlead,
  })
  .describe('a file, a directory (its key ends in /), a mirrored tree, a link, or their absence');
export type FileEntry = z.infer<typeof fileEntry>;

const dropinEntry = z
  .strictObject({
    content: z.string().optional().describe('the drop-in, literally'),
    source: z.string().optional().describe('payload file with the drop-in, relative to this manifest'),
    template,
  })
  .describe('a drop-in: some lines added to a unit');

export const unitEntry = z
  .strictObject({
    content: z.string().optional().describe('the unit file, installed in /etc/systemd/system'),
    source: z.string().optional().describe('payload file with the unit, relative to this manifest'),
    dropins: z
      .record(z.string(), dropinEntry)
      .optional()
      .describe('file name ending in .conf → lines added to the unit, ours or not'),
    enabled: z.boolean().optional().describe('enabled at boot'),
    masked: z.boolean().optional().describe('cannot be started at all, by anybody'),
    state: z.enum(['started', 'stopped']).optional().describe('what it should be now'),
    on_change: z
      .enum(['restart', 'reload', 'none'])
      .optional()
      .describe('what to do to a running unit when its file changed; default restart'),
    after,
    notify,
    reload,
    template,
    'x-fairlead': fairlead,
  })
  .describe('a systemd unit: its file, or just the state of one that exists');
export type UnitEntry = z.infer<typeof unitEntry>;

export const jobEntry = z
  .strictObject({
    run: argv,
    when: z
      .enum(['change', 'once', 'always'])
      .optional()
      .describe(
        'change (default): when it or something in `after` changed; once: until it succeeded; always: every run',
      ),
    unless: argv.optional().describe('if this program succeeds, the job need not run'),
    cwd: z.string().startsWith('/', 'must be an absolute path').optional().describe('working directory; default /'),
    env: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a variable name'), z.string())
      .optional()
      .describe('environment; besides it there are PATH, LANG, HOME, USER, LOGNAME and SHELL'),
    user: z
      .string('must be a user name, or a quoted id such as "1000"')
      .optional()
      .describe('user name or id; default root'),
    timeout: duration.optional().describe('then it is stopped, with all it started; default 10m'),
    on_rollback: z.enum(['skip', 'run']).optional().describe('whether it runs on the way back to the last good commit'),
    after,
    notify,
    reload,
  })
  .describe('a command for what no declaration can express');
export type JobEntry = z.infer<typeof jobEntry>;

export const checkEntry = z
  .strictObject({
    http: z
      .string()
      .regex(/^https?:\/\/[^/]+/, 'must be a URL such as http://127.0.0.1:8080/health')
      .optional()
      .describe('URL that must answer'),
    tcp: z
      .string()
      .regex(/^.+:\d{1,5}$/, 'must be a host and a port such as 127.0.0.1:5432')
      .optional()
      .describe('host and port that must accept a connection'),
    run: argv.optional(),
    expect: z
      .int()
      .optional()
      .describe('status that http answers (default any 2xx), or that the program ends with (0)'),
    within: duration.optional().describe('how long after an apply it may take to pass; default 30s'),
    every: duration.optional().describe('how often it is looked at from then on; default 30s'),
  })
  .describe('a probe that decides whether a commit is good');
export type CheckEntry = z.infer<typeof checkEntry>;

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
    jobs: z.record(z.string(), jobEntry.nullable()).nullable().optional().describe('name → command'),
    checks: z.record(z.string(), checkEntry.nullable()).nullable().optional().describe('name → probe'),
    ...composeSections,
  })
  .describe('A fairlead manifest');
/** Section → what one entry of it may say. */
export const ENTRIES = { files: fileEntry, units: unitEntry, jobs: jobEntry, checks: checkEntry };
export interface Manifest {
  files?: Record<string, FileEntry | null> | null | undefined;
  units?: Record<string, UnitEntry | null> | null | undefined;
  jobs?: Record<string, JobEntry | null> | null | undefined;
  checks?: Record<string, CheckEntry | null> | null | undefined;
}
