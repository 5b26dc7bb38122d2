/** host.yaml: the host's own settings. */
import { Cron } from 'croner';
import { z } from 'zod';
import { agentPackage } from './agent-package.ts';
import { duration } from './duration.ts';
import { roles, vars } from './settings.ts';

function isCron(text: string): boolean {
  try {
    return new Cron(text, { paused: true }) instanceof Cron;
  } catch {
    return false;
  }
}

function isTimeZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

const window = z
  .strictObject({
    schedule: z
      .string()
      .refine(isCron, 'must be a cron expression such as 0 2 * * 6')
      .describe('cron expression of the times at which the window opens'),
    duration: duration.describe('time for which it stays open'),
    timezone: z
      .string()
      .refine(isTimeZone, 'must be an IANA time zone such as Europe/Berlin')
      .optional()
      .describe('IANA name such as Europe/Berlin; default UTC'),
    harmless: z
      .enum(['hold', 'allow'])
      .optional()
      .describe('allow: commits that only add files which notify nothing do not wait for the window; default hold'),
  })
  .describe('commits are applied only while this window is open; repairs at any time');

export const hostSettings = z
  .strictObject({
    roles: roles.optional().describe('shared layers below roles/, in order; a later one overrides an earlier one'),
    labels: z.record(z.string(), z.string()).optional().describe('shown in status; usable as `{{ host.labels.NAME }}`'),
    vars: vars.optional(),
    mode: z.enum(['enforce', 'observe']).default('enforce').describe('observe: report differences, change nothing'),
    window: window.optional(),
    rollback: z
      .enum(['auto', 'off'])
      .optional()
      .describe('auto (default): a commit that does not settle is rolled back; off: it stays'),
    settle: z
      .strictObject({
        timeout: duration
          .default('5m')
          .describe(
            'time to become well for resources that never ran here before, and for those without a limit of their own; default 5m',
          ),
        patience: duration
          .optional()
          .describe('time to become well for resources that ran here before; default 90s, at most `timeout`'),
      })
      .optional()
      .describe('time limits for a commit to become well'),
    prune: z
      .strictObject({
        max: z
          .string()
          .regex(/^\d{1,3}%$/, 'must be a share such as 50%')
          .default('50%')
          .describe('largest share of the managed resources that one commit may remove; default 50%'),
      })
      .optional()
      .describe('limit of removals: a commit that would remove more (of four or more resources) is held'),
    age: z
      .string()
      .regex(/^age1[02-9ac-hj-np-z]{58}$/, 'must be an age recipient: age1 and 58 characters')
      .optional()
      .describe(
        "the host's public age key, to which its secrets are encrypted; `fairlead secret recipients` prints it",
      ),
    agent: agentPackage,
    decommission: z.boolean().optional().describe('true: remove everything managed except volumes, then do nothing'),
  })
  .describe('The settings of one host: hosts/<host>/host.yaml');
export type HostSettings = z.infer<typeof hostSettings>;
