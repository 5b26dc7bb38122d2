/** Builds the status document (docs/reporting.md) from what the engine knows. Pure. */
import type { CommandName } from '../../../manifests-schema/command-names.ts';
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import { type ReasonCode, reasonOf } from '../../../manifests-schema/reasons.ts';
import { healthOf, syncOf } from '../plan/verdict.ts';
import type { Waiting } from '../progress.ts';
import type { CommitInfo, Gate, Issue, Problem, ResourceStatus, RunRecord, SyncState } from '../types.ts';

export interface Identity {
  host: string;
  fleet: string;
  labels: Record<string, string>;
  /** Commands that this host follows over the broker, if agent.yaml lists any. */
  commands?: readonly CommandName[];
  version: string;
  startedAt: string;
  /** Random, new at every start. */
  instance: string;
}

/** The state that outlives one run. */
export interface AgentState {
  mode: 'enforce' | 'observe';
  labels: Readonly<Record<string, string>>;
  desired: CommitInfo | null;
  applied: { commit: string; at: string; run: number } | null;
  lastGood: { commit: string } | null;
  gate: Gate | null;
  pin: string | null;
  bad: readonly { commit: string; reason: ReasonCode }[];
  run: RunRecord | null;
  resources: readonly ResourceStatus[];
  /** Verdicts about the commit as a whole: `failed` (rejected), `held`, `unassigned`. Empty if there is none. */
  hostStates: readonly SyncState[];
  reason: ReasonCode | '';
  message: string;
  problems: readonly Problem[];
  warnings: readonly Issue[];
  /** Resources that a run waits for, and work that goes on beside the runs. */
  waiting: readonly Waiting[];
  /** Single resources that a person paused. */
  paused?: StatusDocument['paused'];
  running: boolean;
}

export interface StatusInput {
  identity: Identity;
  state: AgentState;
  facts: StatusDocument['facts'];
  at: string;
  seq: number;
  next: string | null;
}

const MAX_PROBLEMS = 20;
const MAX_WARNINGS = 20;
const MAX_BAD = 5;

export function statusOf({ identity, state, facts, at, seq, next }: StatusInput): StatusDocument {
  const known = state.run !== null;
  const counts: Partial<Record<ResourceStatus['sync'], number>> = {};
  for (const { sync } of state.resources) counts[sync] = (counts[sync] ?? 0) + 1;
  const count = (sync: ResourceStatus['sync']) => counts[sync] ?? 0;
  const run = state.run;
  return {
    schema: 1,
    host: identity.host,
    fleet: identity.fleet,
    at,
    seq,
    sync: known ? syncOf(state.resources, state.hostStates) : state.running ? 'progressing' : 'unknown',
    health: known ? healthOf(state.resources) : 'unknown',
    reason: state.reason,
    message: state.message,
    mode: state.mode,
    gate: state.gate,
    pin: state.pin,
    desired: state.desired && {
      ref: state.desired.ref,
      commit: state.desired.commit,
      author: state.desired.author,
      subject: state.desired.subject,
      committedAt: state.desired.committedAt,
      signer: state.desired.signer ?? null,
    },
    applied: state.applied,
    lastGood: state.lastGood,
    bad: state.bad.slice(0, MAX_BAD),
    run: run && {
      id: run.id,
      trigger: run.trigger,
      startedAt: run.startedAt,
      durationMs: run.durationMs,
      changed: run.changed,
      failed: run.failed,
      repaired: run.repaired,
    },
    resources: {
      total: state.resources.length,
      synced: count('synced'),
      outOfSync: count('out-of-sync') + count('progressing'),
      failed: count('failed'),
      held: count('held'),
    },
    problems: state.problems.slice(0, MAX_PROBLEMS).map(({ id, reason, message, turn, since, until, file, line }) => ({
      ...{ id, reason, message },
      turn: turn ?? reasonOf(reason).fault,
      since: since ?? at,
      until: until ?? null,
      ...{ file, line },
    })),
    problemsTotal: state.problems.length,
    warnings: state.warnings
      .slice(0, MAX_WARNINGS)
      .map(({ file, line, key, message }) => ({ file, line, key, message })),
    warningsTotal: state.warnings.length,
    ...(state.paused && state.paused.length > 0 ? { paused: state.paused.slice(0, MAX_PROBLEMS) } : {}),
    waiting: state.waiting.slice(0, MAX_PROBLEMS).map(({ id, since, until }) => ({ id, since, until })),
    ...(identity.commands?.length ? { commands: [...identity.commands] } : {}),
    labels: { ...state.labels },
    facts,
    agent: { version: identity.version, startedAt: identity.startedAt, instance: identity.instance },
    next,
  };
}
