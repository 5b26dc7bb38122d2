/** Entries of `files`. */
import { z } from 'zod';
import { argv, decrypt, fairlead, type References, template } from './shared.ts';

const mode = z
  .string('must be a quoted octal string such as "0644"')
  .regex(/^[0-7]{3,4}$/, 'must be an octal string such as "0644"')
  .describe('permission bits, quoted octal; default "0644", for directories and executable files "0755"');

export const fileEntry = ({ after, notify, reload }: References) =>
  z
    .strictObject({
      content: z.string().optional().describe('content of the file, literally'),
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
        .describe(
          'of a directory or tree: remove what is in it and not declared; with `state: absent`: with all in it',
        ),
      validate: argv.optional().describe('a program that must accept the candidate, "%s", before it replaces the file'),
      after,
      notify,
      reload,
      template,
      decrypt,
      'x-fairlead': fairlead,
    })
    .describe('a file, a directory (its key ends in /), a mirrored tree, a link, or their absence');
export type FileEntry = z.infer<ReturnType<typeof fileEntry>>;
