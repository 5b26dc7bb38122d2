/** host.yaml: the host's own settings. */
import { z } from 'zod';

const duration = z.string().regex(/^\d+(ms|s|m|h|d)$/, 'must be a duration such as 90s, 5m or 2h');

export const hostSettings = z
  .strictObject({
    labels: z.record(z.string(), z.string()).optional().describe('shown in status'),
    vars: z.record(z.string(), z.unknown()).optional().describe('variables for Compose sections'),
    mode: z.enum(['enforce', 'observe']).default('enforce').describe('observe: look and report, touch nothing'),
    settle: z
      .strictObject({ timeout: duration.default('5m').describe('how long an apply may take to become well') })
      .optional(),
    prune: z
      .strictObject({
        max: z
          .string()
          .regex(/^\d{1,3}%$/, 'must be a share such as 50%')
          .default('50%'),
      })
      .optional()
      .describe('a commit that would remove more of four or more resources is held'),
  })
  .describe('The settings of one host');
export type HostSettings = z.infer<typeof hostSettings>;

/** In the product contract, not in this version. */
export const HOST_NOT_YET = ['roles', 'window', 'rollback', 'age', 'decommission'] as const;
