/** Entries of `units`. */
import { z } from 'zod';
import { fairlead, type References, template } from './shared.ts';

const dropinEntry = z
  .strictObject({
    content: z.string().optional().describe('content of the drop-in, literally'),
    source: z.string().optional().describe('payload file with the drop-in, relative to this manifest'),
    template,
  })
  .describe('a drop-in: lines added to a unit');

export const unitEntry = ({ after, notify, reload }: References) =>
  z
    .strictObject({
      content: z.string().optional().describe('the unit file, installed in /etc/systemd/system'),
      source: z.string().optional().describe('payload file with the unit, relative to this manifest'),
      dropins: z
        .record(z.string(), dropinEntry)
        .optional()
        .describe('file name ending in .conf → lines added to the unit'),
      enabled: z.boolean().optional().describe('enabled at boot'),
      masked: z.boolean().optional().describe('true: nobody can start it'),
      state: z.enum(['started', 'stopped']).optional().describe('started or stopped'),
      on_change: z
        .enum(['restart', 'reload', 'none'])
        .optional()
        .describe('action on the running unit after its file changed; default restart'),
      after,
      notify,
      reload,
      template,
      'x-fairlead': fairlead,
    })
    .describe('a systemd unit: its file, or only the state of an existing one');
export type UnitEntry = z.infer<ReturnType<typeof unitEntry>>;
