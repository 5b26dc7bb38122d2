/** The documents that fairlead publishes over MQTT and prints with `--json` (docs/reporting.md). */
import { z } from 'zod';
import { REASONS } from './reasons.ts';

export const timestamp = z.string().describe('ISO 8601, UTC, with milliseconds');
export const syncState = z.enum([
  'failed',
  'rolled-back',
  'held',
  'out-of-sync',
  'progressing',
  'synced',
  'unassigned',
  'unknown',
]);
const codes = Object.keys(REASONS);
/** Read as any text, since another version may give other reasons; published with the list of all that this one gives. */
export const reasonCode = z.string().meta({ id: 'reasonCode', enum: codes, description: 'see docs/reasons.md' });
export const reason = z
  .string()
  .meta({ id: 'reason', enum: ['', ...codes], description: 'empty when all is well; see docs/reasons.md' });
export const healthState = z.enum(['degraded', 'progressing', 'healthy', 'unknown']);

export const statusDocument = z
  .strictObject({
    schema: z.literal(1),
    host: z.string(),
    fleet: z.string(),
    at: timestamp,
    seq: z.int().describe('of the newest event of this host'),
    sync: syncState,
    health: healthState,
    reason,
    message: z.string(),
    mode: z.enum(['enforce', 'observe']),
    gate: z.strictObject({ kind: z.string(), reason: z.string(), until: timestamp.nullable() }).nullable(),
    pin: z.string().nullable(),
    desired: z
      .strictObject({
        ref: z.string(),
        commit: z.string(),
        author: z.string(),
        subject: z.string(),
        committedAt: timestamp,
        signer: z.string().nullable(),
      })
      .nullable(),
    applied: z.strictObject({ commit: z.string(), at: timestamp, run: z.int() }).nullable(),
    lastGood: z.strictObject({ commit: z.string() }).nullable(),
    bad: z.array(z.strictObject({ commit: z.string(), reason: reasonCode })).max(5),
    run: z
      .strictObject({
        id: z.int(),
        trigger: z.string(),
        startedAt: timestamp,
        durationMs: z.int(),
        changed: z.int(),
        failed: z.int(),
        repaired: z.int(),
      })
      .nullable(),
    resources: z.strictObject({
      total: z.int(),
      synced: z.int(),
      outOfSync: z.int(),
      failed: z.int(),
      held: z.int(),
    }),
    problems: z
      .array(
        z.strictObject({
          id: z.string(),
          reason: reasonCode,
          message: z.string(),
          turn: z
            .enum(['wait', 'host', 'commit'])
            .optional()
            .describe('whose turn it is: it passes by itself, this host needs a hand, or another commit fixes it'),
          since: timestamp.optional().describe('when it was first seen'),
          until: timestamp.nullish().describe('when it is tried again, or over, where that is known'),
          file: z.string().nullable(),
          line: z.int().nullable(),
        }),
      )
      .max(20),
    problemsTotal: z.int(),
    warnings: z
      .array(z.strictObject({ file: z.string(), line: z.int(), key: z.string(), message: z.string() }))
      .max(20)
      .describe('what is odd about the declaration and no error, such as a variable that is not set'),
    warningsTotal: z.int(),
    waiting: z
      .array(z.strictObject({ id: z.string(), since: timestamp, until: timestamp.nullable() }))
      .max(20)
      .optional()
      .describe('what is waited for: until when at most, where there is a bound'),
    paused: z
      .array(z.strictObject({ id: z.string(), until: timestamp.nullable(), reason: z.string(), at: timestamp }))
      .max(20)
      .optional()
      .describe('single resources that are held on this host, with what depends on them'),
    labels: z.record(z.string(), z.string()),
    facts: z.strictObject({ os: z.string(), arch: z.string(), kernel: z.string(), addresses: z.array(z.string()) }),
    agent: z.strictObject({ version: z.string(), startedAt: timestamp, instance: z.string() }),
    next: timestamp.nullable().describe('when the next scheduled sync is due'),
  })
  .describe("A host's retained status: <prefix>/<fleet>/hosts/<host>/status");
export type StatusDocument = z.infer<typeof statusDocument>;

/** Of a status what a table of hosts shows: an agent of another version may say more, and in words that are not known here. */
export const anyStatus = z.object({
  schema: z.literal(1),
  at: z.string(),
  sync: z.string(),
  health: z.string(),
  reason: z.string(),
  message: z.string(),
  desired: z.object({ commit: z.string(), subject: z.string(), committedAt: z.string() }).nullable(),
  applied: z.object({ commit: z.string() }).nullable(),
  labels: z.record(z.string(), z.string()),
});

export const resourceStatus = z.strictObject({
  id: z.string(),
  sync: z.enum(['synced', 'out-of-sync', 'failed', 'held', 'progressing']),
  health: healthState,
  reason,
});

export const resourcesDocument = z
  .strictObject({ schema: z.literal(1), resources: z.array(resourceStatus) })
  .describe("A host's resources: <prefix>/<fleet>/hosts/<host>/resources");

export const eventDocument = z
  .strictObject({
    schema: z.literal(1),
    host: z.string(),
    fleet: z.string(),
    id: z.string(),
    seq: z.int(),
    at: timestamp,
    type: z.enum(['run', 'change', 'drift', 'repair', 'rollback', 'hold', 'gap']),
    run: z.int().nullable(),
    data: z.record(z.string(), z.unknown()),
  })
  .describe('One event: <prefix>/<fleet>/hosts/<host>/events');
export type EventDocument = z.infer<typeof eventDocument>;
