/** Keys that entries of several kinds have in common. */
import { z } from 'zod';

/** Attributes that name other resources. */
export type References = ReturnType<typeof references>;

/** @param kinds of which a resource may be, in every id */
export function references(kinds: readonly string[]) {
  const ids = z.array(
    z.string().regex(new RegExp(`^(${kinds.join('|')}):.`), 'must be a resource id such as unit:nginx.service'),
  );
  const unitIds = z.array(
    z.string().regex(/^unit:./, 'must be a unit such as unit:nginx.service; what cannot reload takes `notify`'),
  );
  return {
    after: ids.optional().describe('resources to be applied before this one'),
    notify: ids.optional().describe('units or services to restart, or jobs to run, after this changed'),
    reload: unitIds.optional().describe('units to reload after this changed'),
  };
}

export const template = z
  .boolean()
  .optional()
  .describe('true: LiquidJS renders the content with host, vars, facts and secrets');
export const decrypt = z
  .union([z.boolean(), z.record(z.string(), z.boolean())], 'must be false, or patterns of paths with false')
  .optional()
  .describe('false: deliver an encrypted source without decryption; or patterns below the source: {"keys/**": false}');
export const argv = z
  .array(z.string(), 'must be a list: a program and its arguments, such as [systemctl, reload, nginx]; no shell')
  .min(1, 'must name a program')
  .describe('a program and its arguments; no shell');

export const duration = z
  .string('must be a duration such as 90s, 5m or 2h')
  .regex(/^\d+(ms|s|m|h|d)$/, 'must be a duration such as 90s, 5m or 2h');

export const fairlead = z
  .strictObject({
    mode: z.enum(['observe', 'enforce']).optional().describe('observe: report differences, never change it'),
  })
  .optional()
  .describe('options of fairlead, as for a service of a stack');
