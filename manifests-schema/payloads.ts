/** The documents that fairlead publishes over MQTT and prints with `--json` (docs/reporting.md). */
import { z } from 'zod';
import { COMMANDS } from './command-names.ts';
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
            .describe(
              'who has to act: nobody, because it passes by itself (wait); somebody on this host (host); the author of another commit (commit)',
            ),
          since: timestamp.optional().describe('time at which the problem was first seen'),
          until: timestamp.nullish().describe('time of the next try, or of the end, if known'),
          file: z.string().nullable(),
          line: z.int().nullable(),
        }),
      )
      .max(20),
    problemsTotal: z.int(),
    warnings: z
      .array(z.strictObject({ file: z.string(), line: z.int(), key: z.string(), message: z.string() }))
      .max(20)
      .describe('warnings about the declaration, such as a variable that is not set'),
    warningsTotal: z.int(),
    waiting: z
      .array(z.strictObject({ id: z.string(), since: timestamp, until: timestamp.nullable() }))
      .max(20)
      .optional()
      .describe('resources that the host waits for, and until when at most'),
    paused: z
      .array(z.strictObject({ id: z.string(), until: timestamp.nullable(), reason: z.string(), at: timestamp }))
      .max(20)
      .optional()
      .describe('paused resources; resources that depend on them are paused as well'),
    commands: z.array(z.enum(COMMANDS)).optional().describe('commands over the broker that this host follows'),
    labels: z.record(z.string(), z.string()),
    facts: z.strictObject({ os: z.string(), arch: z.string(), kernel: z.string(), addresses: z.array(z.string()) }),
    agent: z.strictObject({ version: z.string(), startedAt: timestamp, instance: z.string() }),
    next: timestamp.nullable().describe('when the next scheduled sync is due'),
  })
  .describe("A host's retained status: <prefix>/<fleet>/hosts/<host>/status");
export type StatusDocument = z.infer<typeof statusDocument>;

/**
 * The fields of a status that a table of hosts shows: an agent of another version may send more, and words that are unknown
 * here.
 */
export const anyStatus = z.object({
  schema: z.literal(1),
  at: z.string(),
  sync: z.string(),
  health: z.string(),
  reason: z.string(),
  message: z.string(),
  desired: z
    .object({ ref: z.string().optional(), commit: z.string(), subject: z.string(), committedAt: z.string() })
    .nullable(),
  applied: z.object({ commit: z.string() }).nullable(),
  commands: z.array(z.string()).default([]),
  labels: z.record(z.string(), z.string()),
  /** A gate that cannot be read is none: it must not hide the rest of the status. */
  gate: z
    .object({ kind: z.string(), reason: z.string(), until: timestamp.nullable() })
    .nullable()
    .catch(null)
    .default(null),
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

/** The fields of an event that a reader of a whole fleet needs, also of an event from a newer agent. */
export const anyEvent = z.object({
  schema: z.literal(1),
  host: z.string(),
  fleet: z.string(),
  id: z.string(),
  seq: z.int(),
  at: z.string(),
  type: z.string(),
  run: z.int().nullable(),
  data: z.record(z.string(), z.unknown()),
});
export type AnyEvent = z.infer<typeof anyEvent>;

const ratio = z.number().min(0).max(1).nullable();
const bytes = z.number().min(0).nullable();

export const metricsDocument = z
  .strictObject({
    schema: z.literal(1),
    host: z.string(),
    fleet: z.string(),
    at: timestamp,
    uptimeSeconds: z.int().nullable(),
    load: z.tuple([z.number(), z.number(), z.number()]).nullable().describe('over 1, 5 and 15 minutes'),
    cpu: z
      .strictObject({
        count: z.int().nullable().describe('processors that are online'),
        usedRatio: ratio.describe('share of the time in which the processors worked'),
        iowaitRatio: ratio.describe('share of the time in which processors were idle and waited for a disk'),
        stealRatio: ratio.describe('share of the time that the hypervisor gave to other machines'),
      })
      .describe('all processors together, from 0 to 1, since the previous document; null in the first one'),
    memory: z.strictObject({
      totalBytes: bytes,
      availableBytes: bytes.describe('memory that programs can get without swapping'),
    }),
    swap: z.strictObject({ totalBytes: bytes, freeBytes: bytes }),
    disks: z
      .array(
        z.strictObject({
          path: z.string(),
          totalBytes: z.number(),
          availableBytes: z.number().describe('space for users other than root'),
          inodes: z.number().nullable(),
          inodesFree: z.number().nullable(),
        }),
      )
      .describe(
        'file systems of /, of the state of fairlead and of the data of Docker: one entry for each file system',
      ),
    network: z
      .strictObject({
        receivedBytes: z.number().describe('since the boot'),
        sentBytes: z.number().describe('since the boot'),
        receivedBytesPerSecond: bytes.describe('since the document before'),
        sentBytesPerSecond: bytes.describe('since the document before'),
      })
      .nullable()
      .describe('all network cards together'),
    temperatureCelsius: z.number().nullable().describe('hottest sensor of the processor'),
    pressure: z
      .strictObject({ cpu: ratio, memory: ratio, io: ratio })
      .describe('share of the last minute in which some task had to wait for it (PSI), from 0 to 1'),
    agent: z
      .strictObject({
        rssBytes: z.number(),
        cpuSeconds: z.number().describe('processor time since the start of the agent'),
      })
      .describe('the process of the agent'),
  })
  .describe(
    "A host's metrics, each minute: <prefix>/<fleet>/hosts/<host>/metrics; null if the host cannot measure a value",
  );
export type MetricsDocument = z.infer<typeof metricsDocument>;
