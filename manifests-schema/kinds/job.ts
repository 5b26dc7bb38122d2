/** Entries of `jobs`. */
import { z } from 'zod';
import { argv, duration, type References } from './shared.ts';

export const jobEntry = ({ after, notify, reload }: References) =>
  z
    .strictObject({
      run: argv,
      when: z
        .enum(['change', 'once', 'always'])
        .optional()
        .describe(
          'change (default): when it or something in `after` changed; once: until it succeeded; always: every run',
        ),
      unless: argv.optional().describe('if this program succeeds, the job does not run'),
      cwd: z.string().startsWith('/', 'must be an absolute path').optional().describe('working directory; default /'),
      env: z
        .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be a variable name'), z.string())
        .optional()
        .describe('environment variables, in addition to PATH, LANG, HOME, USER, LOGNAME and SHELL'),
      user: z
        .string('must be a user name, or a quoted id such as "1000"')
        .optional()
        .describe('user name or id; default root'),
      timeout: duration.optional().describe('after this time it is stopped, with its child processes; default 10m'),
      on_rollback: z
        .enum(['skip', 'run'])
        .optional()
        .describe('skip (default) or run: whether it runs during a rollback to the last good commit'),
      after,
      notify,
      reload,
    })
    .describe('a command for anything that cannot be declared');
export type JobEntry = z.infer<ReturnType<typeof jobEntry>>;
