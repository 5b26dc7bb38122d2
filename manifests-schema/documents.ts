/** The documents that commands print with `--json`, but those that the broker holds as well (payloads.ts). */
import { z } from 'zod';
import { COMMANDS, OUTCOMES } from './command-names.ts';
import { planSummary } from './commands.ts';
import { action, operation, recentHistory, run, why } from './history.ts';
import { healthState, reasonCode, resourceStatus, statusDocument, timestamp } from './payloads.ts';

export type { ActionDocument } from './history.ts';

const schema = z.literal(1);
const origin = z
  .strictObject({ file: z.string(), line: z.int(), layer: z.string() })
  .describe('where it is declared, relative to the repository');
const issue = z.strictObject({
  file: z.string(),
  line: z.int(),
  column: z.int(),
  key: z.string(),
  message: z.string(),
  severity: z.enum(['error', 'warning']),
  reason: reasonCode.optional().describe('a reason of its own, such as AgentTooOld'),
});

export const planDocument = z
  .strictObject({
    schema,
    commit: z.string().nullable().describe('null for a directory'),
    issues: z.array(issue).describe('with an error among them the commit cannot be planned'),
    error: z.string().nullable().describe('something other than the declaration failed: git, engine'),
    held: z.string().nullable().describe('why the whole plan is held'),
    dropped: z
      .array(z.string())
      .optional()
      .describe('inferred edges that are not kept, since they would close a cycle'),
    stays: z.array(z.string()).optional().describe('on a decommissioned host: managed resources that stay'),
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
    origin: origin.nullable().describe('null if it is no longer declared'),
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
    actual: z.unknown().describe('the actual state; null if the host has none'),
    status: resourceStatus.nullable(),
    history: z.array(z.strictObject({ run: z.int(), at: timestamp, action })).describe('newest first'),
    overwritten: z
      .array(
        z.strictObject({
          n: z.int().describe('for --overwritten'),
          run: z.int(),
          at: timestamp,
          path: z.string().describe('what was overwritten'),
          kept: z.string().nullable().describe('path of the content on this host; null if it is no longer kept'),
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
        ok: z.boolean().describe('no failure was found'),
        unknown: z.boolean().describe('it could not be checked: ok, but unknown'),
        message: z.string().describe('what was found'),
        fix: z.string().describe('what to do, if it is not ok or unknown'),
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
    settings: z.record(z.string(), z.unknown()).describe('settings of host.yaml'),
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
    service: z.enum(['started', 'stopped', 'absent']).describe('state of the unit of the agent'),
    made: z.array(z.string()).describe('files that were created'),
  })
  .describe('fairlead init --json');

export const uninstallDocument = z
  .strictObject({
    schema,
    removed: z.boolean().describe('whether managed resources were removed'),
    resources: z.number().nullable().describe('number of managed resources; null if the agent was down'),
    service: z.enum(['started', 'stopped', 'absent']),
    left: z.array(z.string()).describe('paths that stay on the host'),
  })
  .describe('fairlead uninstall --json');

export const fleetDocument = z
  .strictObject({
    schema,
    way: z
      .enum(['index', 'list', 'roll-call'])
      .describe('where the names of hosts come from: the index on the broker, a list, or those that reported'),
    counts: z
      .strictObject({ fleet: z.int(), shown: z.int(), well: z.int() })
      .describe('number of hosts in the fleet, of listed hosts, and of listed hosts that are well'),
    commits: z
      .array(z.strictObject({ commit: z.string().nullable(), hosts: z.int() }))
      .describe('number of listed hosts for each commit, the largest first'),
    hosts: z.array(
      z.strictObject({
        host: z.string(),
        presence: z.enum(['online', 'offline', 'unknown']),
        sync: z.string(),
        health: z.union([healthState, z.string()]),
        ref: z.string().nullable().describe('ref that the host follows'),
        commit: z.string().nullable().describe('desired commit'),
        subject: z.string(),
        committedAt: z.string().nullable(),
        applied: z.string().nullable().describe('the commit that was applied last'),
        labels: z.record(z.string(), z.string()),
        commands: z.array(z.string()).describe('commands over the broker that it follows'),
        at: timestamp.nullable(),
        reason: z.string(),
        message: z.string(),
        gate: z
          .strictObject({ kind: z.string(), reason: z.string(), until: timestamp.nullable() })
          .nullable()
          .describe(
            'keeps changes away from the host: a pause, a window, …; until is null if it does not end by itself',
          ),
      }),
    ),
  })
  .describe('fairlead fleet status --json');

export const dashboardDocument = z
  .strictObject({
    schema: z.literal(1),
    url: z.string().nullable().describe('address of the page; null with --out'),
    out: z.string().nullable().describe('directory that the files were written to'),
    files: z.array(z.string()).describe('files that were written'),
    websocket: z.string().describe('websocket address of the broker for browsers'),
  })
  .describe('fairlead fleet dashboard --json');
export type DashboardDocument = z.infer<typeof dashboardDocument>;
export const fleetHostDocument = z
  .strictObject({
    schema,
    host: z.string(),
    presence: z.enum(['online', 'offline', 'unknown']),
    status: statusDocument.nullable(),
    resources: z.array(resourceStatus).nullable(),
    history: recentHistory.nullable(),
    unreadable: z.array(z.string()).describe('topics of this host that this version cannot read; they are null here'),
  })
  .describe('fairlead fleet show HOST --json; null where the broker has none');

export const fleetActDocument = z
  .strictObject({
    schema,
    command: z.enum(COMMANDS),
    lost: z.string().nullable().describe('why the broker was lost before all had answered'),
    hosts: z.array(
      z.strictObject({
        host: z.string(),
        outcome: z
          .enum(OUTCOMES)
          .describe(
            'done: carried out, and the host is well; unwell: carried out, and it is not; refused, failed: by the host; silent: no answer; late: it is at it for longer than was waited for; unheard: the broker does not take the command; open: asked, and not waited for; not-asked; stopped: not asked since others had failed; away, off: not asked, since it is offline or does not follow the command',
          ),
        reason: z.string(),
        message: z.string(),
        status: z
          .strictObject({
            sync: z.string(),
            health: z.string(),
            commit: z.string().nullable(),
            run: z.strictObject({ changed: z.int(), failed: z.int(), repaired: z.int() }).nullable(),
          })
          .nullable()
          .describe('state of the host afterwards'),
        plan: planSummary
          .pick({ commit: true, held: true, issuesTotal: true, counts: true, actions: true, actionsTotal: true })
          .nullable(),
        pause: z.strictObject({ until: timestamp.nullable(), reason: z.string() }).nullable(),
        pin: z.string().nullable(),
      }),
    ),
  })
  .describe('fairlead fleet sync --json, and of plan, pause, resume, rollback');

export const forgetDocument = z
  .strictObject({
    schema,
    hosts: z.array(
      z.strictObject({
        host: z.string(),
        result: z
          .enum(['forgotten', 'online', 'unknown'])
          .describe('online: nothing was deleted, because it would report again; unknown: it had no topics'),
      }),
    ),
  })
  .describe('fairlead fleet forget --json');

export const relayDocument = z
  .strictObject({ schema, fleet: z.string(), valid: z.literal(true) })
  .describe('fairlead fleet relay --check --json; what is wrong is told as an error');

export const notifyDocument = z
  .strictObject({ schema, commit: z.string().nullable(), topic: z.string().nullable() })
  .describe('fairlead notify --json; null where the ref was deleted');

export const versionDocument = z.strictObject({ schema, version: z.string() }).describe('fairlead version --json');
