/** The document that a destination of `format: json` receives (docs/notify.md). */
import { z } from 'zod';
import { TROUBLES } from './notify.ts';
import { reason, reasonCode, timestamp } from './payloads.ts';

export const notificationDocument = z
  .strictObject({
    schema: z.literal(1),
    id: z.string().describe('the same whenever it is sent again'),
    fleet: z.string(),
    at: timestamp.describe('when it was sent'),
    title: z.string().describe('what it is about, in one line'),
    text: z.string().describe('all of it, for people'),
    dropped: z
      .int()
      .describe('earlier messages that gave way to newer ones while the destination could not be reached'),
    messages: z
      .array(
        z.strictObject({
          id: z.string(),
          at: timestamp.describe('when it happened'),
          occasion: z.enum([...TROUBLES, 'recovered']),
          title: z.string(),
          hosts: z.array(z.string()).describe('the first 20 of them, by name'),
          hostsTotal: z.int(),
          commit: z.string().nullable().describe('that the hosts were asked for'),
          subject: z.string(),
          author: z.string(),
          reason,
          message: z.string(),
          turn: z.enum(['wait', 'host', 'commit']).nullable().describe('who has to act'),
          problems: z.array(z.strictObject({ id: z.string(), reason: reasonCode, message: z.string() })).max(5),
        }),
      )
      .describe('one, or several where many waited'),
  })
  .describe('What a destination of `format: json` is sent');
export type NotificationDocument = z.infer<typeof notificationDocument>;
