/**
 * The agent's metrics, from its status and what it counted. Pure. Labels have words of fixed lists alone (states, codes,
 * kinds of gates), the host's name, versions and commits: no message, no path, no name of a resource.
 */
import type { StatusDocument } from '../../../manifests-schema/payloads.ts';
import type { Fault } from '../../../manifests-schema/reasons.ts';
import type { Gate, HealthState, Problem, ResourceStatus, SyncState } from '../../core/types.ts';
import type { Counts } from '../tally.ts';
import type { Family, Sample } from './text.ts';

export interface MetricsInput {
  status: StatusDocument;
  /** All of them, where the status has the first twenty. */
  problems: readonly Problem[];
  resources: readonly ResourceStatus[];
  counts: Counts;
  /** Events that the broker has not got yet. */
  outbox: number;
  /** Whether there is a connection to the broker; null if agent.yaml names none. */
  isConnected: boolean | null;
  /** The operating system asks for a reboot; null if it does not say. */
  needsReboot: boolean | null;
  /** End of the last good sync, ms since 1970, as far as the history goes back. */
  goodMs: number | null;
  process: { startedMs: number; cpuSeconds: number; rssBytes: number };
}

const SYNC: readonly SyncState[] = [
  ...(['synced', 'progressing', 'out-of-sync', 'held', 'rolled-back', 'failed', 'unassigned', 'unknown'] as const),
];
const HEALTH: readonly HealthState[] = ['healthy', 'progressing', 'degraded', 'unknown'];
const RESOURCE_SYNC: readonly ResourceStatus['sync'][] = ['synced', 'progressing', 'out-of-sync', 'held', 'failed'];
const GATES: readonly Gate['kind'][] = ['pause', 'pin', 'window', 'observe', 'prune', 'review', 'upgrade'];
const TURNS: readonly Fault[] = ['wait', 'host', 'commit'];

export function familiesOf(input: MetricsInput): Family[] {
  const { status, counts } = input;
  const { events, durations } = counts;
  return [
    gauge('fairlead_info', 'The agent: its version, and whom it is to the fleet.', [
      { labels: { version: status.agent.version, host: status.host, fleet: status.fleet }, value: 1 },
    ]),
    gauge('fairlead_commit_info', 'The commit that the repository asks for, and the one that was applied last.', [
      {
        labels: {
          ref: status.desired?.ref ?? '',
          desired: status.desired?.commit ?? '',
          applied: status.applied?.commit ?? '',
        },
        value: 1,
      },
    ]),
    gauge('fairlead_sync_state', 'Whether the host matches its repository: 1 for the state that it is in.', [
      ...oneOf('state', SYNC, status.sync),
    ]),
    gauge('fairlead_health_state', 'Whether what is managed works: 1 for the state that it is in.', [
      ...oneOf('state', HEALTH, status.health),
    ]),
    gauge('fairlead_gate', 'Why work waits although nothing is wrong: 1 for the gate that is closed.', [
      ...oneOf('kind', GATES, status.gate?.kind ?? (status.mode === 'observe' ? 'observe' : '')),
    ]),
    gauge(
      'fairlead_resources',
      'Resources that are managed, by whether they match the repository.',
      tallied(
        'sync',
        RESOURCE_SYNC,
        input.resources.map(({ sync }) => sync),
      ),
    ),
    gauge(
      'fairlead_resources_health',
      'Resources that are managed, by whether they work.',
      tallied(
        'health',
        HEALTH,
        input.resources.map(({ health }) => health),
      ),
    ),
    gauge(
      'fairlead_problems',
      'Problems that last, by whose turn it is: wait (it passes by itself), host, or commit.',
      tallied(
        'turn',
        TURNS,
        input.problems.map(({ turn }) => turn ?? 'host'),
      ),
    ),
    gauge('fairlead_problem_reasons', 'Problems that last, by reason (docs/reasons.md).', [
      ...countedBy('reason', countOf(input.problems.map(({ reason }) => reason))),
    ]),
    gauge('fairlead_warnings', 'Warnings about the declaration.', [{ value: status.warningsTotal }]),
    gauge('fairlead_outbox_events', 'Events that the broker has not got yet.', [{ value: input.outbox }]),
    gauge('fairlead_broker_connected', 'Whether there is a connection to the broker.', flag(input.isConnected)),
    gauge('fairlead_reboot_required', 'Whether the operating system asks for a reboot.', flag(input.needsReboot)),
    restless(
      gauge(
        'fairlead_last_good_sync_timestamp_seconds',
        'End of the last run that found all as the repository has it.',
        [...seconds(counts.goodMs ?? input.goodMs)],
      ),
    ),
    restless(gauge('fairlead_last_run_timestamp_seconds', 'End of the last run.', seconds(counts.ranMs))),
    restless(
      gauge('fairlead_last_run_duration_seconds', 'How long the last run took.', [
        ...(counts.lastDurationSeconds === null ? [] : [{ value: counts.lastDurationSeconds }]),
      ]),
    ),
    restless(
      counter('fairlead_runs_total', 'Runs, by what caused them and by the state that they found or left.', [
        ...counts.runs.map(({ trigger, result, count }) => ({ labels: { trigger, result }, value: count })),
      ]),
    ),
    restless({
      ...{ name: 'fairlead_run_duration_seconds', help: 'How long runs took.', type: 'histogram' as const },
      samples: [
        ...durations.boundsSeconds.map((bound, i) => bucket(String(bound), durations.counts[i] ?? 0)),
        bucket('+Inf', durations.count),
        { suffix: '_sum', value: durations.sumSeconds },
        { suffix: '_count', value: durations.count },
      ],
    }),
    restless(
      counter('fairlead_run_failures_total', 'Runs that failed or were rolled back, by reason.', [
        ...countedBy('reason', counts.runFailures),
      ]),
    ),
    counter('fairlead_resource_failures_total', 'Failures of resources, each once until it changes, by reason.', [
      ...countedBy('reason', counts.resourceFailures),
    ]),
    counter('fairlead_changes_total', 'Changes that commits asked for, each failure once.', [{ value: events.change }]),
    counter('fairlead_repairs_total', 'Drift that was put right.', [{ value: events.repair }]),
    counter('fairlead_drift_total', 'Drift that was found, whether or not it could be put right.', [
      { value: events.drift + events.repair },
    ]),
    counter('fairlead_holds_total', 'Changes that were held, each once until it changes.', [{ value: events.hold }]),
    counter('fairlead_rollbacks_total', 'Commits that were rolled back.', [{ value: events.rollback }]),
    gauge('fairlead_start_time_seconds', 'When the agent was started.', seconds(input.process.startedMs)),
    restless(
      counter('fairlead_cpu_seconds_total', 'Processor time of the agent.', [{ value: input.process.cpuSeconds }]),
    ),
    restless(gauge('fairlead_resident_memory_bytes', 'Memory of the agent.', [{ value: input.process.rssBytes }])),
  ];
}

const gauge = (name: string, help: string, samples: readonly Sample[]): Family => ({
  ...{ name, help, samples },
  type: 'gauge',
});
const counter = (name: string, help: string, samples: readonly Sample[]): Family => ({
  ...{ name, help, samples },
  type: 'counter',
});
const restless = (family: Family): Family => ({ ...family, isRestless: true });
const bucket = (le: string, value: number): Sample => ({ suffix: '_bucket', labels: { le }, value });

/** One sample for each word; the current one has the value 1. */
const oneOf = (label: string, words: readonly string[], holds: string): Sample[] =>
  words.map((word) => ({ labels: { [label]: word }, value: word === holds ? 1 : 0 }));

/** One sample for each word, including words that do not occur. */
function tallied(label: string, words: readonly string[], found: readonly string[]): Sample[] {
  const counts = countOf(found);
  return words.map((word) => ({ labels: { [label]: word }, value: counts.get(word) ?? 0 }));
}

function countOf(words: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

const countedBy = (label: string, counts: ReadonlyMap<string, number>): Sample[] =>
  [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([word, value]) => ({ labels: { [label]: word }, value }));

const flag = (is: boolean | null): Sample[] => (is === null ? [] : [{ value: is ? 1 : 0 }]);
const seconds = (ms: number | null): Sample[] => (ms === null ? [] : [{ value: ms / 1000 }]);
