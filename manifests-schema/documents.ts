/** The documents that commands print with `--json`, but those that the broker holds as well (payloads.ts). */
import { z } from 'zod';
import { healthState, reason, reasonCode, resourceStatus, statusDocument, syncState, timestamp } from './payloads.ts';

const schema = z.literal(1);
const operation = z
  .enum(['none', 'create', 'update', 'replace', 'remove', 'release', 'refresh'])
  .describe('release: it is managed no more, and stays on the host');
const origin = z
  .strictObject({ file: z.string(), line: z.int(), layer: z.string() })
  .describe('where it is declared, relative to the repository');
const why = z
  .array(
    z.strictObject({
      field: z.string(),
      from: z.string().optional().describe('what it was, or is'),
      to: z.string().optional().describe('what it became, or will be'),
    }),
  )
  .readonly()
  .describe('each field that differs');
const issue = z.strictObject({
  file: z.string(),
  line: z.int(),
  column: z.int(),
  key: z.string(),
  message: z.string(),
  severity: z.enum(['error', 'warning']),
  reason: reasonCode.optional().describe('a reason of its own, such as AgentTooOld'),
});

const commitInfo = z.strictObject({
  ref: z.string(),
  commit: z.string(),
  author: z.string(),
  subject: z.string(),
  committedAt: timestamp,
  committer: z.string().optional(),
  signer: z.string().nullable().optional().describe('of the verified signature; null where none was asked for'),
  tag: z.string().optional(),
  content: z.string().optional().describe("changes exactly when the host's part of the repository does"),
  commits: z
    .array(
      z.strictObject({
        commit: z.string(),
        author: z.string(),
        subject: z.string(),
        committedAt: timestamp,
        touched: z.boolean().nullable().describe('whether it changed this host’s part; null where that cannot be told'),
      }),
    )
    .readonly()
    .optional()
    .describe('seen since the commit accepted before, newest first'),
});

const action = z.strictObject({
  id: z.string(),
  op: operation,
  why,
  result: z.enum(['done', 'failed', 'blocked', 'held']),
  drift: z.boolean().describe('something on the host had drifted; no commit asked for this'),
  error: z.strictObject({ code: reasonCode, message: z.string() }).optional(),
  durationMs: z.int(),
});
export type ActionDocument = z.infer<typeof action>;

const run = z.strictObject({
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
});

export const planDocument = z
  .strictObject({
    schema,
    commit: z.string().nullable().describe('null for a directory'),
    issues: z.array(issue).describe('with an error among them the commit cannot be planned'),
    error: z.string().nullable().describe('something other than the declaration failed: git, engine'),
    held: z.string().nullable().describe('the whole plan is held: why'),
    dropped: z
      .array(z.string())
      .optional()
      .describe('inferred edges that are not kept, since they would close a cycle'),
    stays: z.array(z.string()).optional().describe('of a decommissioned host: what is managed and stays there'),
    actions: z.array(
      z.strictObject({
        id: z.string(),
        op: operation,
        why,
        origin: origin.nullable(),
        held: z.string().optional(),
        diff: z.string().optional().describe('with --diff'),
      }),
    ),
  })
  .describe('fairlead plan --json');
export type PlanDocument = z.infer<typeof planDocument>;

export const syncDocument = z
  .union([
    z.strictObject({ schema, type: z.literal('done'), run, status: statusDocument }),
    z.strictObject({ schema, accepted: z.literal(true) }).describe('with --no-wait'),
  ])
  .describe('fairlead sync --json, fairlead rollback --json');

export const showDocument = z
  .strictObject({
    schema,
    id: z.string(),
    origin: origin.nullable().describe('null where it is declared no more'),
    attributes: z
      .record(z.string(), origin)
      .readonly()
      .describe('where each attribute was written, of what layers merge'),
    commit: z
      .strictObject({
        commit: z.string(),
        author: z.string(),
        committer: z.string(),
        subject: z.string(),
        committedAt: timestamp,
        signer: z.string().nullable(),
        oneOf: z.int().describe('the newest of so many commits that came together, one of which wrote it'),
      })
      .nullable()
      .describe('whose declaration this is'),
    desired: z.unknown().describe('the declaration; contents as their size and hash, secrets not at all'),
    actual: z.unknown().describe('what the host has; null where it has nothing'),
    status: resourceStatus.nullable(),
    history: z.array(z.strictObject({ run: z.int(), at: timestamp, action })).describe('newest first'),
    overwritten: z
      .array(
        z.strictObject({
          n: z.int().describe('for --overwritten'),
          run: z.int(),
          at: timestamp,
          path: z.string().describe('what was overwritten'),
          kept: z.string().nullable().describe('where the bytes lie on this host; null where they are kept no more'),
          bytes: z.int().nullable(),
        }),
      )
      .describe('what repairs overwrote, newest first'),
  })
  .describe('fairlead show ID --json');
export type ShowDocument = z.infer<typeof showDocument>;

export const historyDocument = z
  .strictObject({ schema, runs: z.array(run).describe('newest first') })
  .describe('fairlead history --json');
export type HistoryDocument = z.infer<typeof historyDocument>;

export const runDocument = z
  .strictObject({ schema, run, actions: z.array(action) })
  .describe('fairlead history RUN --json');
export type RunDocument = z.infer<typeof runDocument>;

export const holdDocument = z
  .strictObject({
    schema,
    pause: z.strictObject({ until: timestamp.nullable(), reason: z.string(), at: timestamp }).nullable(),
    pin: z.strictObject({ commit: z.string(), at: timestamp }).nullable(),
    commit: z.string().nullable().describe('that this host has accepted'),
    resources: z
      .array(z.strictObject({ id: z.string(), until: timestamp.nullable(), reason: z.string(), at: timestamp }))
      .optional()
      .describe('single resources that are held now'),
  })
  .describe('fairlead pause --json: what stands now; fairlead resume --json: what stood until now');
export type HoldDocument = z.infer<typeof holdDocument>;

export const doctorDocument = z
  .strictObject({
    schema,
    findings: z.array(
      z.strictObject({
        name: z.string(),
        ok: z.boolean().describe('nothing is known to be wrong with it'),
        unknown: z
          .boolean()
          .describe('it could not be checked, and nothing speaks against it: ok, but not called right'),
        message: z.string().describe('what was found'),
        fix: z.string().describe('what to do, where it is not ok or not known'),
      }),
    ),
  })
  .describe('fairlead doctor --json');
export type DoctorDocument = z.infer<typeof doctorDocument>;

export const validateDocument = z
  .strictObject({
    schema,
    judged: z
      .strictObject({
        source: z.enum(['commit', 'worktree', 'directory']).describe('`directory`: git knows nothing of it'),
        commit: z.string().nullable().describe('HEAD, also of a working tree'),
      })
      .describe('what was read'),
    hosts: z.int(),
    issues: z.array(issue.extend({ hosts: z.array(z.string()).describe('directories of the hosts that it concerns') })),
  })
  .describe('fairlead validate --json');

const place = z.string().describe('file:line (layer)');
export const renderDocument = z
  .strictObject({
    schema,
    host: z.string(),
    path: z.string(),
    layers: z.array(z.string()).readonly().describe('lowest first'),
    settings: z.record(z.string(), z.unknown()).describe('of host.yaml'),
    labels: z.record(z.string(), z.string()).readonly(),
    vars: z.record(z.string(), z.unknown()).describe('with --origin each is {value, origin}'),
    resources: z.record(
      z.string(),
      z.strictObject({
        spec: z.unknown(),
        after: z.array(z.string()).readonly().optional(),
        notify: z.array(z.string()).readonly().optional(),
        origin: place.optional(),
        attributes: z.record(z.string(), place).optional(),
      }),
    ),
  })
  .describe('fairlead render HOST --json');

export const affectedDocument = z
  .strictObject({
    schema,
    base: z.string(),
    head: z.string(),
    hosts: z.array(
      z.strictObject({ host: z.string(), path: z.string(), change: z.enum(['added', 'removed', 'changed']) }),
    ),
  })
  .describe('fairlead affected BASE HEAD --json');

export const recipientsDocument = z
  .strictObject({
    schema,
    recipients: z.array(
      z.strictObject({
        host: z.string().nullable().describe('null for this host, asked for itself'),
        path: z.string().nullable(),
        recipient: z.string().nullable(),
        roles: z.array(z.string()),
      }),
    ),
  })
  .describe('fairlead secret recipients --json');

export const encryptDocument = z
  .strictObject({ schema, file: z.string(), hosts: z.array(z.string()), recipients: z.array(z.string()) })
  .describe('fairlead secret encrypt FILE --json');

export const initDocument = z
  .strictObject({
    schema,
    host: z.string(),
    config: z.string(),
    age: z.string().describe('public half'),
    ssh: z.string().describe('public half'),
    directory: z.string().describe('of this host in the repository'),
    service: z.enum(['started', 'stopped', 'absent']).describe('what became of the unit of the agent'),
    made: z.array(z.string()).describe('files that were not there before'),
  })
  .describe('fairlead init --json');

export const uninstallDocument = z
  .strictObject({
    schema,
    removed: z.boolean().describe('whether what was managed is gone'),
    resources: z.number().nullable().describe('how many were managed; null where the agent was down'),
    service: z.enum(['started', 'stopped', 'absent']),
    left: z.array(z.string()).describe('paths that stay on the host'),
  })
  .describe('fairlead uninstall --json');

export const fleetDocument = z
  .strictObject({
    schema,
    way: z.enum(['index', 'list']).describe('where the names of hosts come from: the index on the broker, or a list'),
    counts: z
      .strictObject({ fleet: z.int(), shown: z.int(), well: z.int() })
      .describe('hosts of the fleet, those of them that are shown, and those of these that are well'),
    commits: z
      .array(z.strictObject({ commit: z.string().nullable(), hosts: z.int() }))
      .describe('how many of the hosts that are shown run which commit, the most first'),
    hosts: z.array(
      z.strictObject({
        host: z.string(),
        presence: z.enum(['online', 'offline', 'unknown']),
        sync: z.string(),
        health: z.union([healthState, z.string()]),
        commit: z.string().nullable().describe('what the repository asks for'),
        subject: z.string(),
        committedAt: z.string().nullable(),
        applied: z.string().nullable().describe('the commit that was applied last'),
        labels: z.record(z.string(), z.string()),
        at: timestamp.nullable(),
        reason: z.string(),
        message: z.string(),
      }),
    ),
  })
  .describe('fairlead fleet status --json');

export const forgetDocument = z
  .strictObject({
    schema,
    hosts: z.array(
      z.strictObject({
        host: z.string(),
        result: z
          .enum(['forgotten', 'online', 'unknown'])
          .describe('online: it would report again, so nothing was taken away; unknown: nothing was there'),
      }),
    ),
  })
  .describe('fairlead fleet forget --json');

export const notifyDocument = z
  .strictObject({ schema, commit: z.string().nullable(), topic: z.string().nullable() })
  .describe('fairlead notify --json; null where the ref was deleted');

export const versionDocument = z.strictObject({ schema, version: z.string() }).describe('fairlead version --json');
