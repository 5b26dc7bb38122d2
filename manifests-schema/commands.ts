/** Commands over the broker, and their answers (docs/reporting.md, "Commands"). */
import { z } from 'zod';
import { COMMANDS } from './command-names.ts';
import { isHostName } from './host-name.ts';
import { healthState, reason, reasonCode, syncState, timestamp } from './payloads.ts';

/** One level of a topic; the answer to a command without a response topic goes to `replies/<id>`. */
const id = z
  .string()
  .regex(/^[A-Za-z0-9._-]{1,64}$/, 'is 1 to 64 letters, digits, `.`, `_` or `-`')
  .describe('new for each command; a host carries out each id once');
const why = z
  .string()
  .max(200)
  .optional()
  .describe('shown in history, events and status; does not prove who sent the command');
const flag = z.boolean().optional();
const expires = z.iso
  .datetime()
  .max(40)
  .describe('UTC, at most an hour ahead; a host refuses the command after this time');

const commandOf = <Name extends string, Args extends z.ZodRawShape>(command: Name, args: Args) =>
  z.strictObject({
    id,
    command: z.literal(command),
    args: z.strictObject({ ...args, reason: why }).prefault({} as never),
    expires,
  });

const commit = z
  .string()
  .regex(/^[0-9a-f]{4,40}$/, 'is a commit id, or how one begins')
  .optional();

export const commandDocument = z
  .discriminatedUnion('command', [
    commandOf('sync', { force: flag, adopt: flag, allowPrune: flag }),
    commandOf('plan', { commit }),
    commandOf('pause', {
      for: z
        .string()
        .regex(/^\d{1,6}(ms|s|m|h|d)$/, 'is a duration such as 2h')
        .optional(),
    }),
    commandOf('resume', {}),
    commandOf('rollback', { commit }),
  ])
  .describe('A command: <prefix>/<fleet>/hosts/<host>/commands for one host, <prefix>/<fleet>/commands for all');
export type CommandDocument = z.infer<typeof commandDocument>;

const count = z.int();

export const planSummary = z.strictObject({
  commit: z.string().nullable(),
  held: z.string().nullable().describe('why nothing of the plan would be done now'),
  error: z.string().nullable(),
  issues: z
    .array(
      z.strictObject({ severity: z.enum(['error', 'warning']), file: z.string(), line: count, message: z.string() }),
    )
    .max(20),
  issuesTotal: count,
  counts: z.record(z.string(), count).describe('actions, by what is done: create, update, replace, remove, refresh'),
  actions: z.array(z.strictObject({ id: z.string(), op: z.string(), why: z.array(z.string()).max(5) })).max(50),
  actionsTotal: count,
});
export type PlanSummary = z.infer<typeof planSummary>;

export const commandResult = z
  .strictObject({
    schema: z.literal(1),
    id: z.string().nullable().describe('null where it could not be read'),
    host: z.string(),
    fleet: z.string(),
    at: timestamp,
    command: z.enum(COMMANDS).nullable(),
    state: z
      .enum(['accepted', 'done', 'failed', 'refused'])
      .describe('accepted: in progress, another answer follows; done: carried out; refused: nothing was done'),
    reason: reason.describe('why it was refused or failed; after a sync or rollback the reason of the host'),
    message: z.string(),
    status: z
      .strictObject({
        sync: syncState,
        health: healthState,
        commit: z.string().nullable().describe('that was applied last'),
        run: z
          .strictObject({ id: count, changed: count, failed: count, repaired: count, durationMs: count })
          .nullable(),
        problems: z.array(z.strictObject({ id: z.string(), reason: reasonCode, message: z.string() })).max(3),
        problemsTotal: count,
      })
      .nullable()
      .describe('state of the host afterwards'),
    plan: planSummary.nullable(),
    pause: z
      .strictObject({ until: timestamp.nullable(), reason: z.string() })
      .nullable()
      .describe('the current pause after `pause`, the ended one after `resume`'),
    pin: z.string().nullable().describe('the pinned commit after `rollback`, the formerly pinned one after `resume`'),
  })
  .describe('The answer to a command, below <prefix>/<fleet>/replies/, with its correlation data');
export type CommandResult = z.infer<typeof commandResult>;

/** The fields of an answer that are needed here: an agent of another version may send more. */
export const anyCommandResult = z.object({
  schema: z.literal(1),
  id: z.string(),
  host: z.string().refine(isHostName),
  state: z.enum(['accepted', 'done', 'failed', 'refused']),
  command: z.string().nullable(),
  reason: z.string(),
  message: z.string(),
  status: z
    .object({
      sync: z.string(),
      health: z.string(),
      commit: z.string().nullable(),
      run: z.object({ changed: z.number(), failed: z.number(), repaired: z.number() }).nullable(),
    })
    .nullable(),
  plan: z
    .object({
      commit: z.string().nullable(),
      held: z.string().nullable(),
      issuesTotal: z.number(),
      counts: z.record(z.string(), z.number()),
      actions: z.array(z.object({ id: z.string(), op: z.string(), why: z.array(z.string()) })),
      actionsTotal: z.number(),
    })
    .nullable(),
  pause: z.object({ until: z.string().nullable(), reason: z.string() }).nullable(),
  pin: z.string().nullable(),
});
export type AnyCommandResult = z.infer<typeof anyCommandResult>;
