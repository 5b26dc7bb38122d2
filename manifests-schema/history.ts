/** Runs and what they did to resources, as `fairlead history` prints them and the broker keeps the newest of them. */
import { z } from 'zod';
import { reason, reasonCode, syncState, timestamp } from './payloads.ts';

export const operation = z
  .enum(['none', 'create', 'update', 'replace', 'remove', 'release', 'refresh'])
  .describe('release: it is no longer managed, and stays on the host');

export const why = z
  .array(
    z.strictObject({
      field: z.string(),
      from: z.string().optional().describe('the former or current value'),
      to: z.string().optional().describe('the new or future value'),
    }),
  )
  .readonly()
  .describe('each field that differs');

const commit = z.strictObject({
  ref: z.string(),
  commit: z.string(),
  author: z.string(),
  subject: z.string(),
  committedAt: timestamp,
  committer: z.string().optional(),
  signer: z.string().nullable().optional().describe('signer of the verified signature; null if none was required'),
  tag: z.string().optional(),
  content: z.string().optional().describe("changes exactly when the host's part of the repository does"),
});

const commitInfo = commit.extend({
  commits: z
    .array(
      z.strictObject({
        commit: z.string(),
        author: z.string(),
        subject: z.string(),
        committedAt: timestamp,
        touched: z.boolean().nullable().describe('whether it changed this host’s part; null if unknown'),
      }),
    )
    .readonly()
    .optional()
    .describe('seen since the commit accepted before, newest first'),
});

export const action = z.strictObject({
  id: z.string(),
  op: operation,
  why,
  result: z.enum(['done', 'failed', 'blocked', 'held']),
  drift: z.boolean().describe('something on the host had drifted; no commit asked for this'),
  error: z.strictObject({ code: reasonCode, message: z.string() }).optional(),
  until: timestamp.optional().describe('time of the next try, if it waits'),
  durationMs: z.int(),
});
export type ActionDocument = z.infer<typeof action>;

export const run = z.strictObject({
  id: z.int(),
  trigger: z.enum(['start', 'schedule', 'push', 'manual', 'drift', 'retry']),
  startedAt: timestamp,
  durationMs: z.int(),
  sync: syncState,
  reason,
  message: z.string(),
  commit: commitInfo.nullable(),
  changed: z.int(),
  failed: z.int(),
  repaired: z.int(),
  quietFrom: z
    .int()
    .optional()
    .describe('the runs from this number to `id` found the same and had nothing to do; `id` stands for all of them'),
  command: z
    .strictObject({ id: z.string(), reason: z.string() })
    .optional()
    .describe('the command over the broker that caused it, and the given reason; does not prove who sent it'),
});

export const recentHistory = z
  .strictObject({
    schema: z.literal(1),
    host: z.string(),
    fleet: z.string(),
    at: timestamp.describe('when the newest of these runs ended'),
    runs: z
      .array(
        run.extend({
          commit: commit.nullable(),
          actions: z
            .array(action)
            .max(50)
            .describe('actions on resources, done and failed; of many, failed ones come first'),
          actionsTotal: z.int().describe('number of actions; more than `actions` has if not all fit'),
        }),
      )
      .max(50)
      .describe('newest first; runs that found nothing to do and nothing new are left out'),
  })
  .describe("A host's newest runs and changes: <prefix>/<fleet>/hosts/<host>/history, at most 64 KiB");
export type RecentHistoryDocument = z.infer<typeof recentHistory>;
