/**
 * The state of a simulated host: a dozen resources, the runs that it claims to have made, and the events that wait to be sent. It
 * has no repository, so a commit is what a push notice names. The documents are made by the agent's own code.
 */
import { createHash } from 'node:crypto';
import { recentHistoryOf } from '../../agent/core/reporting/recent-history.ts';
import { type AgentState, statusOf } from '../../agent/core/reporting/status.ts';
import type {
  ActionRecord,
  AgentEvent,
  CommitInfo,
  ResourceStatus,
  RunRecord,
  Trigger,
} from '../../agent/core/types.ts';
import { actionEvent } from '../../agent/engine/run/records/live-events.ts';
import { runEvent } from '../../agent/engine/run/records/record.ts';
import type { ReporterOptions } from '../../agent/report/reporter.ts';
import type { Outbox } from '../../agent/store/history/outbox.ts';
import type { ProbeFailure } from './ailments.ts';

export interface BookOptions {
  host: string;
  fleet: string;
  ref: string;
  labels: Record<string, string>;
  instance: string;
  version: string;
  /** null for a host that is well. */
  ailment: ProbeFailure | null;
  now(): Date;
}

/** What the reporter needs from a host. */
type Asked = Pick<ReporterOptions, 'status' | 'resources' | 'history' | 'busy'> & Pick<ReporterOptions, 'outbox'>;

export interface Book extends Asked {
  /** Of the newest run. */
  commit(): string;
  /** A run is in progress from now on. */
  begin(): void;
  /** The run has ended: the host matches `commit` now, unless it has a fault. */
  end(run: { trigger: Trigger; commit: string; durationMs: number }): void;
  /** A resource had drifted, and was repaired. */
  repair(): void;
}

/** Number of runs that are kept: fewer than an agent keeps, since ten thousand hosts share this machine's memory. */
const KEPT_RUNS = 5;
/** Events that wait for the broker; beyond that the oldest are lost, without the gap that an agent reports. */
const KEPT_EVENTS = 100;
const IDS: readonly ResourceStatus['id'][] = [
  ...['file:/etc/app/app.conf', 'file:/etc/app/limits.conf', 'file:/etc/motd', 'file:/etc/nginx/nginx.conf'],
  ...['unit:app.service', 'unit:backup.timer', 'unit:backup.service', 'sysctl:net.ipv4.ip_forward'],
  ...['network:shop/default', 'volume:shop/data', 'service:shop/db', 'service:shop/web'],
] as const;
const DRIFTED = 'file:/etc/motd';
const AUTHOR = 'Ann <ann@example.com>';
const FACTS = { os: 'Debian 13', arch: 'x64', kernel: '6.12.43', addresses: ['192.0.2.7', '2001:db8::7'] };

/** The commit that all hosts of a simulated fleet run at first. */
export const firstCommit = (fleet: string): string => createHash('sha1').update(fleet).digest('hex');

export function createBook(options: BookOptions): Book {
  const { host, fleet, ref, labels, instance, ailment, now } = options;
  const startedAt = now().toISOString();
  const infoOf = (commit: string): CommitInfo => ({
    ...{ ref, commit, author: AUTHOR, subject: `Simulated commit ${commit.slice(0, 7)}` },
    committedAt: now().toISOString(),
  });
  const resources: readonly ResourceStatus[] = IDS.map((id) =>
    id === ailment?.resource.id ? ailment.resource : { id, sync: 'synced', health: 'healthy', reason: '' },
  );
  let commit: CommitInfo = infoOf(firstCommit(fleet));
  let applied = { commit: commit.commit, at: startedAt, run: 1 };
  let runs: { run: RunRecord; actions: ActionRecord[]; actionsTotal: number }[] = [];
  let runCount = 0;
  let seq = 0;
  let isBusy = false;
  const events: AgentEvent[] = [];

  const stateNow = (): AgentState => ({
    ...{
      mode: 'enforce',
      labels,
      desired: commit,
      applied,
      lastGood: { commit: applied.commit },
      gate: null,
      pin: null,
    },
    ...{ bad: [], resources, hostStates: [], reason: '', message: '', problems: [], warnings: [], waiting: [] },
    ...{ run: runs[0]?.run ?? null, running: isBusy },
    ...ailment?.state(commit.commit),
  });

  function push(drafts: readonly Omit<AgentEvent, 'id' | 'seq'>[]): void {
    for (const draft of drafts) {
      seq++;
      events.push({ ...draft, id: `${instance}-${seq}`, seq });
    }
    events.splice(0, events.length - KEPT_EVENTS);
  }

  function record(trigger: Trigger, durationMs: number, actions: ActionRecord[]): void {
    const { reason, message, hostStates, resources: all } = stateNow();
    const isFailed = all.some(({ sync }) => sync === 'failed');
    const run: RunRecord = {
      ...{ id: ++runCount, trigger, startedAt: new Date(now().getTime() - durationMs).toISOString(), durationMs },
      ...{ sync: isFailed ? 'failed' : (hostStates[0] ?? 'synced'), reason, message, commit },
      changed: actions.filter(({ drift }) => !drift).length,
      failed: isFailed ? 1 : 0,
      repaired: actions.filter(({ drift }) => drift).length,
    };
    runs = [{ run, actions, actionsTotal: actions.length }, ...runs].slice(0, KEPT_RUNS);
    const at = now().toISOString();
    push([...actions.map((action) => actionEvent(action, run.id, at)), runEvent(run, at)]);
  }

  const outbox: Pick<Outbox, 'peek' | 'ack'> = {
    peek: (limit) => events.slice(0, limit),
    ack(acknowledged) {
      const at = events.findIndex((event) => event.seq === acknowledged);
      if (at !== -1) events.splice(at, 1);
    },
  };
  record('start', 40, []);

  return {
    outbox,
    commit: () => commit.commit,
    status() {
      const identity = { host, fleet, labels, version: options.version, startedAt, instance };
      return statusOf({ identity, state: stateNow(), facts: FACTS, at: now().toISOString(), seq, next: null });
    },
    resources: () => resources,
    history: { revision: () => runCount, document: () => recentHistoryOf({ host, fleet }, runs) },
    busy: () => isBusy,
    begin() {
      isBusy = true;
    },
    end({ trigger, commit: asked, durationMs }) {
      isBusy = false;
      const before = applied.commit;
      commit = infoOf(asked);
      if (ailment === null) applied = { commit: asked, at: now().toISOString(), run: runCount + 1 };
      record(trigger, durationMs, ailment === null ? [updated(before, asked, durationMs)] : []);
    },
    repair: () => record('drift', 30, [repaired]),
  };
}

const updated = (from: string, to: string, durationMs: number): ActionRecord => ({
  ...{ id: 'file:/etc/app/app.conf', op: 'update', result: 'done', drift: false, durationMs },
  why: [{ field: 'content', from: from.slice(0, 7), to: to.slice(0, 7) }],
});

const repaired: ActionRecord = {
  ...{ id: DRIFTED, op: 'update', why: [{ field: 'content' }], result: 'done', drift: true, durationMs: 4 },
};
